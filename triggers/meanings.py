"""What the input bits of the GDL mean, in words.

The rules and their quirks stand where the bits are made; this is for people who read a menu. Names are those of the
Belle II menus. Sources: Belle II public software, GDL menus and the ECL and GRL trigger simulation.
"""

from __future__ import annotations

import re

# Bits _0 to _3 are one-hot: exactly 1, exactly 2, exactly 3, more than 3.
_ONE_HOT = {
    "t2": "full (2D) CDC tracks",
    "t3": "3D-fitted CDC tracks with |z| < 35 cm",
    "ty": "neural CDC tracks with |z| < 20 cm",
    "ts": "short CDC tracks, off the roads of the full ones",
    "ta": "CDC tracks of any kind",
    "cdcecl": "full tracks with a barrel cluster",
    "c2gev": "full tracks with a barrel cluster of 2 GeV or more",
    "n1gev": "isolated clusters above 1 GeV",
    "n2gev": "isolated clusters above 2 GeV",
    "cdctop": "full tracks matched to the TOP",
}
_HOW_MANY = ("exactly 1", "exactly 2", "exactly 3", "more than 3")

# Bit _k has weight 2**k.
_BINARY = {
    "clst": "ECL clusters (6 at most)",
    "klm": "barrel KLM trigger tracks",
    "eklm": "endcap KLM sectors",
}

# Difference of azimuth of a pair, in bins of 10 degrees: back to back in windows of four widths, or open.
_PAIRS = {
    "cdc_b2b": "two full tracks",
    "d": "two clusters",
    "p": "a full track and a cluster",
    "s2s": "two short tracks",
    "s2f": "a short and a full track",
}
_WINDOWS = {"3": "17-19", "5": "16-20", "7": "15-21", "9": "14-22"}
_OPEN = {"o": "90 deg or more apart", "30": "30 deg or more apart"}

_BITS = {
    "typ": "a neural track with |z| < 15 cm and p > 0.7 GeV",
    "cdc_open90": "two full tracks, 90 deg or more apart in azimuth",
    "cdc_active": "the CDC gave an event time",
    "f2f30": "two full tracks, 30 deg or more apart in azimuth",
    "fwd_s": "a short track into the forward endcap",
    "bwd_s": "a short track into the backward endcap",
    "ti": "an inner track",
    "i2fo": "an inner and a full track, 90 deg or more apart in azimuth",
    "i2io": "two inner tracks, 90 deg or more apart in azimuth",
    "secl": "a short track points to an endcap cluster",
    "iecl": "an inner track points to an endcap cluster",
    "iecl_0": "an inner track points to an endcap cluster",
    "iecl_1": "more than one inner track points to an endcap cluster",
    "seklm_0": "no short track points to a fired endcap KLM sector (as the public simulation has it)",
    "seklm_1": "a short track points to a fired endcap KLM sector",
    "ieklm": "an inner track points to a fired endcap KLM quadrant",
    "ecleklm": "an endcap cluster lies before a fired endcap KLM quadrant",
    "itsfb2b": "inner track segments back to back",
    "track": "any CDC track",
    "samhem": "one 3D track, and a cluster on its side in azimuth but off it in polar angle",
    "opohem": "one 3D track, and a cluster on the other side in azimuth",
    "elow": "ECL energy in rings 2-15 above 0.5 GeV",
    "ehigh": "ECL energy in rings 2-15 above 1 GeV",
    "elum": "ECL energy in rings 2-15 above 3 GeV",
    "ecl_bst": "ECL energy in all rings above 20 GeV: a burst",
    "ecl_active": "an ECL trigger cell is hit",
    "ecl_oflo": "more ECL clusters than the limit of 6",
    "ecl_bha": "2D Bhabha of the ECL (constant 0 in the public simulation)",
    "bhabha2d": "2D Bhabha of the ECL: energy in opposite rings",
    "ecl_3dbha": "3D Bhabha: a back-to-back pair of clusters, both above 3 GeV, one above 4.5 GeV (CM)",
    "bha_veto": "the Bhabha veto of the menu: the 3D Bhabha",
    "bha_intrk": "a cluster of the 3D Bhabha lies in the CDC acceptance (rings 3-15)",
    "ecl_bhapur": "3D Bhabha for calibration: both clusters above 2.5 GeV, one above 4 GeV (CM)",
    "bha_theta_0": "smaller ring of the calibration Bhabha, bit of weight 1",
    "bha_theta_1": "smaller ring of the calibration Bhabha, bit of weight 2",
    "ecl_mumu": "a back-to-back pair of clusters, both below 2 GeV (CM)",
    "ecl_phys": "ECL energy above 1 GeV or 4 isolated clusters, and no 2D Bhabha",
    "ecl_timing_fwd": "the ECL event time is that of a forward cell",
    "ecl_timing_brl": "the ECL event time is that of a barrel cell",
    "ecl_timing_bwd": "the ECL event time is that of a backward cell",
    "hie1": "1 GeV in the ECL, but no lone forward cluster and no back-to-back pair",
    "hie2": "as hie1, with the pair back to back in either angle",
    "hie3": "as hie1, but a pair counts only if its softer cluster is in an endcap",
    "hie4": "as hie3, but a pair counts only if both clusters exceed 0.5 GeV",
    "ecl_taub2b": "a wide back-to-back pair with a cluster below 1.9 GeV, 7 GeV in all at most",
    "ecl_taub2b2": "a wide back-to-back pair, both clusters above 0.162 GeV, 7 GeV in all at most",
    "ecl_taub2b3": "a wide back-to-back pair in rings 2-16, no cluster above 4.5 GeV, 7 GeV in all at most",
    "ecl_lml_0": "3 clusters, one above 0.3 GeV, no 3D Bhabha",
    "ecl_lml_1": "a cluster above 2 GeV (CM) in rings 4-14",
    "ecl_lml_2": "a cluster above 2 GeV (CM) in rings 2, 3, 15, 16, no 3D Bhabha",
    "ecl_lml_3": "a cluster above 2 GeV (CM) in rings 2, 3, 15, 16, and a 3D Bhabha",
    "ecl_lml_4": "a cluster above 2 GeV (CM) in rings 1, 17, no 3D Bhabha",
    "ecl_lml_5": "a cluster above 2 GeV (CM) in rings 1, 17, and a 3D Bhabha",
    "ecl_lml_6": "one cluster above 1 GeV (CM) in rings 4-15, no other above 0.3 GeV",
    "ecl_lml_7": "one cluster above 1 GeV (CM) in rings 2, 3, 16, no other above 0.3 GeV",
    "ecl_lml_8": "two clusters above 0.25 GeV, 170 deg apart in azimuth (CM), none above 2 GeV (CM)",
    "ecl_lml_9": "a cluster above 0.25 GeV and one below, 170 deg apart in azimuth (CM), none above 2 GeV (CM)",
    "ecl_lml_10": "two clusters back to back (CM), none above 2 GeV (CM)",
    "ecl_lml_11": "no cluster above 2 GeV (CM)",
    "ecl_lml_12": "3 clusters in rings 2-16, one above 0.5 GeV, no 3D Bhabha",
    "ecl_lml_13": "one cluster above 0.5 GeV (CM) in rings 6-11, no other above 0.3 GeV",
    "klm_hit": "a barrel KLM trigger track",
    "klmb2b": "barrel KLM back to back",
    "klmb2b_0": "one pair of KLM trigger tracks in opposite sectors",
    "klmb2b_1": "two pairs of KLM trigger tracks in opposite sectors",
    "klmb2b_2": "more than two pairs of KLM trigger tracks in opposite sectors",
    "eklm_hit": "an endcap KLM sector",
    "eklmb2b": "endcap KLM back to back",
    "cdcklm_0": "exactly one full track matched to a barrel KLM sector",
    "cdcklm_1": "more than one full track matched to a barrel KLM sector",
    "cdcklm_2": "exactly three full tracks matched to a barrel KLM sector",
    "cdcklm_3": "more than three full tracks matched to a barrel KLM sector",
    "top_active": "the TOP gave an event time",
    "brlnb2": "two neutral clusters back to back in the barrel (reading of the name)",
    "trkbha1": "3D Bhabha with matched tracks",
    "trkbha2": "3D Bhabha with matched tracks",
    "revo": "signal of the beam's revolution",
    "bha_delay": "delayed Bhabha, which samples background",
    "pseud_rand": "pseudo-random trigger",
    "plsin": "pulser",
    "poissonin": "Poisson random trigger",
    "nimin0": "external input 0",
    "nimin1": "external input 1",
    "her_kick": "kick of an injection into the HER",
    "ler_kick": "kick of an injection into the LER",
    "injv": "injection veto",
    "veto": "the global veto (injection)",
}


def meaning(bit: str) -> str:
    """Return what an input bit means; of a bit that is not known: "unknown"."""
    if bit in _BITS:
        return _BITS[bit]
    if (match := re.fullmatch(r"(\w+)_(\d)", bit)) and int(match[2]) < len(_HOW_MANY):
        if match[1] in _ONE_HOT:
            return f"{_HOW_MANY[int(match[2])]} {_ONE_HOT[match[1]]}"
        if match[1] in _BINARY:
            return f"number of {_BINARY[match[1]]}, bit of weight {2 ** int(match[2])}"
    if (match := re.fullmatch(r"(\w+?)([3579]|30|o)", bit)) and match[1] in _PAIRS:
        if match[2] in _OPEN:
            return f"{_PAIRS[match[1]]}, {_OPEN[match[2]]} in azimuth"
        return f"{_PAIRS[match[1]]}, back to back: {_WINDOWS[match[2]]} bins of 10 deg apart in azimuth"
    if match := re.fullmatch(r"bha_type_(\d+)", bit):
        return f"2D Bhabha of the ECL, word of ring combinations, bit {match[1]}"
    if match := re.fullmatch(r"ecl_bg_(\d)", bit):
        return f"ECL background veto, bit {match[1]}"
    return "unknown"
