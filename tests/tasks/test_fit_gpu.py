"""Training a task on a GPU: nothing within an update waits; a run moves between GPU and CPU."""

import pytest
import torch

from backbones.training.config import ResumeConfig, changed
from backbones.training.distributed import ALONE
from backbones.transfer import TrunkConfig
from tasks.data.augment import AugmentConfig
from tasks.fit import Fitting
from tasks.fit_config import FitConfig
from tasks.labels import classify
from tasks.words import translate

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

PICTURES = changed(
    classify.SMOKE,
    samples=512,
    dropout=0.1,
    ensemble=2,
    fit=FitConfig(num_epochs=4, batch_size=32),
    trunk=TrunkConfig(trunk="plain", norm="batch", width=0.25),
    augment=AugmentConfig(
        flip=True, crop_px=2, rotate_deg=5.0, elastic_px=1.0, cutout_px=4, mixup=0.2
    ),
)
TEXTS = changed(translate.SMOKE, layers=2, fit=changed(translate.SMOKE.fit, num_epochs=6))


@pytest.mark.parametrize(("job", "config"), [(classify.JOB, PICTURES), (translate.JOB, TEXTS)])
def test_an_update_waits_for_nothing(job, config):
    fitting = Fitting(job.name, job.make_task(config), ALONE)
    fitting.start()
    assert fitting.device.type == "cuda"
    with fitting.feeder as feeder:
        # Long enough that batches are made and learnt from while waiting is refused.
        for update in range(fitting.feeder.updates_an_epoch):
            fitting.update(feeder.batch(update))
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            for update in range(fitting.updates, fitting.total):
                losses = fitting.update(feeder.batch(update))
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert losses.isfinite().all()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_run_goes_from_gpu_to_cpu_and_back(runs, optimizer):
    fit = changed(PICTURES.fit, num_epochs=1, optimizer=optimizer, learning_rate=1e-3)
    run = classify.train(changed(PICTURES, samples=96, fit=fit))
    for device in ("cpu", "cuda"):
        classify.resume(run, ResumeConfig(extend=1, device=device))
