"""GDL: menus, the logic of their lines, prescale and mask, timing."""
