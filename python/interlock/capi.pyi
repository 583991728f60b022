from ._constants import *
from ._signatures import *
