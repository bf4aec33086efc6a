from indl import data as data
from indl import evaluation as evaluation
from indl import export as export
from indl import metrics as metrics
from indl import params as params
from indl import plots as plots
from indl import runs as runs
from indl import training as training
from indl import tuning as tuning
from indl.data import Recording as Recording
from indl.data import Trials as Trials
from indl.data import Window as Window
from indl.data import load_recording as load_recording
from indl.data import lorenz as lorenz
from indl.data import read_nwb as read_nwb
from indl.data import save_recording as save_recording
from indl.evaluation import evaluate as evaluate
from indl.export import export_saved_model as export_saved_model
from indl.loading import load_model as load_model
from indl.model.assemble import build_sequential_vae as build_sequential_vae
from indl.model.sequence_model import SequentialVAE as SequentialVAE
from indl.params import preset as preset
from indl.training import train as train

__version__: str
