"""Trains a small model with Lightning, whose checkpoints are versions, and goes on with one.

usage: train_lightning.py PACKAGE REF
"""

import importlib
import json
import sys

import torch

package, ref = sys.argv[1:]
pl = importlib.import_module(package)
callbacks = importlib.import_module(package + ".callbacks")

import ingot  # noqa: E402
from ingot.lightning import CheckpointIO  # noqa: E402
from ingot.program import Program  # noqa: E402


class Net(pl.LightningModule):
    def __init__(self, width=16):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(4, width)

    def training_step(self, batch, _):
        loss = self.layer(batch).square().mean()
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.01)


def fit(steps, ckpt_path=None):
    torch.manual_seed(1)
    model, io = Net(), CheckpointIO(ref, run="net", spool_dir="spool")
    saved = callbacks.ModelCheckpoint("here", every_n_train_steps=2, save_top_k=2, monitor="step", mode="max")
    trainer = pl.Trainer(
        max_steps=steps, callbacks=[saved], plugins=[io], accelerator="cpu", logger=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, torch.utils.data.DataLoader(torch.ones(64, 4), batch_size=4), ckpt_path=ckpt_path)
    io.last.result()
    return model, trainer, saved, io


model, trainer, saved, io = fit(4)
whole = io.load_checkpoint(saved.best_model_path)
assert whole["hyper_parameters"]["width"] == 16, whole
moments = whole["optimizer_states"][0]["state"][0]["exp_avg"]
assert torch.equal(moments, trainer.optimizers[0].state[model.layer.weight]["exp_avg"])
again, trainer, saved, io = fit(8, saved.best_model_path)
back = io.load_checkpoint("ingot://" + ref)["state_dict"]
names = {tag["name"] for tag in Program()("ls", ref)["tags"]}
print(json.dumps({
    "resumed_at": trainer.global_step,
    "same": all(torch.equal(back[n], t) for n, t in again.state_dict().items()),
    "removed": "epoch-0-step-2" not in names and "epoch-0-step-8" in names,
}))  # fmt: skip
