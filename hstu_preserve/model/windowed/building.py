"""Choose the encoder of a window that a recipe names."""

from hstu_preserve.model.windowed.fparec import FparecEncoder
from hstu_preserve.model.windowed.hstu_tf import HstuTfEncoder
from hstu_preserve.model.windowed.sasrec import SasrecTfEncoder
from hstu_preserve.model.windowed.tisasrec import TisasrecEncoder
from hstu_preserve.records.settings.encoders import FparecSettings, HstuTfSettings, SasrecTfSettings, TisasrecSettings

WindowEncoder = HstuTfEncoder | SasrecTfEncoder | TisasrecEncoder | FparecEncoder


def build_window_encoder(
    settings: HstuTfSettings | SasrecTfSettings | TisasrecSettings | FparecSettings, *, length: int
) -> WindowEncoder:
    """Return the encoder of a window of `length` positions."""
    match settings:
        case HstuTfSettings():
            return HstuTfEncoder(settings, max_sequence_length=length)
        case SasrecTfSettings():
            return SasrecTfEncoder(settings, max_sequence_length=length)
        case TisasrecSettings():
            return TisasrecEncoder(settings, max_sequence_length=length)
        case FparecSettings():
            return FparecEncoder(settings, max_sequence_length=length)
