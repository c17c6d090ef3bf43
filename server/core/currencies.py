"""Which texts beside a number are surely a currency, and which are words of magnitude: `61 mil` is 61000, and no amount of 61.

A currency is proposed only where it is surely one: a currency sign, a code of ISO 4217, or one of a few customary forms. What a
person declares may be any word but one that multiplies or divides the amount, for that would be lost.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from server.core.texts import folded

# Codes of ISO 4217 for money that people pay with, and those of the last years that files still have; none of metals, funds
# and tests.
_CODES_LISTED: Final = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP "
    "CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR "
    "IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR "
    "MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE "
    "SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VEF VES VND VUV WST XAF XCD XCG "
    "XOF XPF YER ZAR ZMW ZWG ZWL"
)
_CODES: Final = frozenset(_CODES_LISTED.split())
_FORMS_LISTED: Final = (
    "US$ U$S R$ A$ AU$ C$ CA$ CAD$ COL$ COP$ CLP$ MX$ MXN$ AR$ ARS$ NZ$ HK$ NT$ S$ RD$ J$ B/. S/ S/. Bs Bs. Bs.F Bs.S Kč kr kr. "
    "zł Fr. Fr SFr. Rs Rs. Rp RM Ft lei Gs Gs. Lps Lps. руб руб. M.N. USDT USDC"
)
_FORMS: Final = frozenset(_FORMS_LISTED.split())
# Signs of category Sc that stand for a part of a currency: cent, mill, penny, ganda.
_SIGNS_OF_PARTS: Final = frozenset("\u00a2\uffe0\u20a5\u20b0\u09fb")
# Words that multiply or divide an amount; case, accents and points are the same to them.
_MAGNITUDES_LISTED: Final = (
    "k m mm mmm kk b t mil mill mills mils mile miles mila mille millar millares millon millones milion miliony milionow milione "
    "milioni milhao milhoes milhares million millions millionen millionn mio mios mln mlns mn mns mrd mrds mld mlrd mia miljon "
    "miljoen miljard milliard milliards milliarde milliarden miliardo miliardi billon billones billion billions billionen bilhao "
    "bilhoes bio bn bln bns bi tn tr trn trillon trillones trillion trillions mdd mdp mmdp tsd td tis tys tyd tusen tausend thsd "
    "thou thous thousand thousands ths thd grand hundred hundreds hundert cien cientos ciento centena centenas lac lacs lakh lakhs "
    "lk cr crs crore crores docena docenas dozen dozens dz doz dozn dzn duzia duzias dutzend par pares gross gruesa ct cts c cs "
    "cent cents ctv ctvo ctvs ctvos cvs centavo centavos centimo centimos centime centimes centesimo centesimos centesimi pence "
    "penny pennies pf pfg pfennig rappen ore oere øre grosz groszy gr kop paise paisa pct percent porciento bp bps pm ppm promille "
    "тыс тысяч млн млрд коп 千 万 萬 亿 億 百 百万 千万 만 억 천 백만"
)
_MAGNITUDES: Final = frozenset(map(folded, _MAGNITUDES_LISTED.split()))

# In capitals it is a currency: pula, piso.
_PENNY: Final = "p"


def is_sure_currency(text: str) -> bool:
    """Whether a text can hardly be anything but a currency: `$`, `COP`, `US$`, `S/`; exactly as it is written."""
    if text in _CODES or text in _FORMS:
        return True
    signs = _without_code(text)
    return len(signs) == 1 and unicodedata.category(signs) == "Sc" and signs not in _SIGNS_OF_PARTS


@lru_cache(maxsize=1024)
def is_magnitude(text: str) -> bool:
    """Whether a text multiplies or divides the amount beside it, also where a currency is joined to it.

    `mil`, `K`, `M.`, `cts`, `%` and `¢` do, and so do `k€`, `$M` and `MUSD`. A currency that people write so is none: `Rp`, `B/.`.
    """
    if text in _CODES or text in _FORMS:
        return False
    if any(char in _SIGNS_OF_PARTS or char in "%\u2030\u2031\u066a\ufe6a\uff05" for char in text):
        return True
    signs = "".join(char for char in text if unicodedata.category(char) != "Sc")
    words = {text, signs, *(_without_code(one) for one in (text, signs))}
    return any(_plain(word) in _MAGNITUDES or word == _PENNY for word in words)


def _without_code(text: str) -> str:
    """The text without a code before or behind it; the text itself without one."""
    if text[:3] in _CODES:
        return text[3:]
    return text[:-3] if text[-3:] in _CODES else text


def _plain(word: str) -> str:
    return re.sub(r"[./]", "", folded(word))
