"""Standardised uptake values of a PET series in DICOM.

SUV by body weight: uptake in Bq/mL times weight over the dose that was left when the scan began (QIBA FDG-PET/CT
profile 1.13, appendix G). Where a tag is missing, no value is guessed.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from napari_sam2.core.window import Window
from napari_sam2.io.dicom import DicomSource
from napari_sam2.io.dicom_series import read_tags

if TYPE_CHECKING:
    from napari_sam2.core.volume import Volume

__all__ = ["SUV_WINDOW", "is_pet", "suv_of", "suv_window"]

SUV_WINDOW: Final = (0.0, 10.0)
"""Shown as black and white, whatever the scan holds: bladder and tracer at the needle must not decide."""

MOST_HOURS: Final = 24.0
"""Between injection and scan; more is a wrong date."""


def is_pet(volume: Volume) -> bool:
    """Whether a DICOM series is one of PET."""
    return volume.source.modality == "PT"


def suv_window(volume: Volume) -> tuple[Window | None, str]:
    """The fixed window of a PET scan, and what to say.

    No window, and why, where SUV cannot be known; neither for other scans.
    """
    if not is_pet(volume):
        return None, ""
    factor, reason = suv_of(volume)
    if factor is None:
        return None, f"SUV cannot be known ({reason}); the window is chosen from the scan's own values."
    low, high = SUV_WINDOW
    return Window(low / factor, high / factor, "SUV 0 to 10"), f"One unit of it is {factor:.4g} SUV by body weight."


def suv_of(volume: Volume) -> tuple[float | None, str]:
    """The factor from stored values to SUV by body weight.

    Or why there is none.

    Returns
    -------
    factor : float or None
    reason : str
        Empty with a factor.
    """
    if not isinstance(volume.source.header, DicomSource):
        return None, "the file is not DICOM"
    tags = read_tags(volume.source.header.slices[0].path)
    try:
        return _factor(tags)
    except Exception:  # values are converted here, and pydicom raises many kinds
        return None, "a tag about the dose is missing or not valid"


def _factor(tags: Any) -> tuple[float | None, str]:
    units, correction = str(tags.Units), str(tags.get("DecayCorrection"))
    if units == "GML":
        return 1.0, ""
    if units != "BQML" or correction not in ("START", "ADMIN"):
        return None, f"its units are {units[:16]} and its decay correction is {correction[:16]}"
    weight, dose = float(tags.PatientWeight) * 1000, _dose(tags)
    if weight <= 0 or dose.activity <= 0:
        return None, "weight or dose is 0"
    if correction == "ADMIN":
        return weight / dose.activity, ""
    seconds = (_begin_of_scan(tags) - dose.injected).total_seconds()
    if seconds < 0:  # the scan went on past midnight, and the injection has a time without a date
        seconds += 86400
    if not 0 <= seconds <= MOST_HOURS * 3600:
        return None, "injection and scan lie more than a day apart"
    return weight / (dose.activity * 2 ** (-seconds / dose.half_life)), ""


class _Dose(NamedTuple):
    """Activity in Bq, half-life in seconds, and when it was injected."""

    activity: float
    half_life: float
    injected: datetime


def _dose(tags: Any) -> _Dose:
    item = tags.RadiopharmaceuticalInformationSequence[0]
    whole = str(item.get("RadiopharmaceuticalStartDateTime") or "")
    date = whole[:8] or str(tags.SeriesDate)
    injected = _time(date, whole[8:14] or str(item.RadiopharmaceuticalStartTime))
    return _Dose(float(item.RadionuclideTotalDose), float(item.RadionuclideHalfLife), injected)


def _begin_of_scan(tags: Any) -> datetime:
    """When the series began, to which START corrects; the acquisition's time where a later processing renamed it."""
    series = _time(str(tags.SeriesDate), str(tags.SeriesTime))
    if not tags.get("AcquisitionTime"):
        return series
    acquired = _time(str(tags.get("AcquisitionDate") or tags.SeriesDate), str(tags.AcquisitionTime))
    return min(series, acquired)


def _time(date: str, time: str) -> datetime:
    digits = time.split(".", maxsplit=1)[0]
    if len(digits) < 4:
        raise ValueError("a time needs hours and minutes")
    digits = digits.ljust(6, "0")[:6]
    return datetime.strptime(date + digits, "%Y%m%d%H%M%S")
