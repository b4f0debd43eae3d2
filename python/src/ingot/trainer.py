"""Publishes from the Trainer of transformers.

    trainer = Trainer(..., callbacks=[PublishCallback("acme/policy")])

A failed upload is raised when the next version is to be published, or at the end of the
training.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import transformers

from .publisher import Files, Publication, Publisher

# What a checkpoint has for going on with the training, and nobody else reads.
TRAINING_STATE = (
    "optimizer.*", "optimizer_*", "scheduler.pt", "scaler.pt", "rng_state*", "trainer_state.json", "training_args.bin",
    "global_step*", "pytorch_model_fsdp_*", "latest", "zero_to_fp32.py",
)  # fmt: skip


class PublishCallback(transformers.TrainerCallback):
    """Publishes the checkpoints that a Trainer saves, or its model every few steps.

    Args:
        ref: Where to, such as "acme/policy".
        every: Publish the model and its configuration from memory every so many steps,
            whether it is saved or not. Otherwise each checkpoint is published as it is
            saved.
        training_state: Also what is needed to go on with the training, such as the
            state of the optimizer, of checkpoints that are saved.
        run: The annotation ingot.run; otherwise the run_name of the arguments.
        annotations: More facts about each version.
        registry, spool_dir: As ingot.publish has them.
    """

    def __init__(
        self,
        ref: str,
        *,
        every: int | None = None,
        training_state: bool = False,
        run: str | None = None,
        annotations: Mapping[str, str] | None = None,
        registry: str | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
    ):
        self.last: Publication | None = None
        self._every, self._whole, self._run, self._annotations = every, training_state, run, annotations
        self._publisher = Publisher(ref, registry=registry, spool_dir=spool_dir)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._every is None and state.is_world_process_zero:
            # A checkpoint is removed as a whole, and its files are never written again.
            ignored = () if self._whole else TRAINING_STATE
            folder = os.path.join(args.output_dir, f"checkpoint-{state.global_step}")
            self._publish(folder, args, state, links=True, ignore_patterns=ignored)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if self._every is not None and state.is_world_process_zero and state.global_step % self._every == 0:
            files: Files = {}
            if hasattr(model, "config"):
                files = {"config.json": model.config.to_json_string().encode()}
            self._publish(model, args, state, files=files)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._publisher.wait()

    def _publish(self, what: Any, args: Any, state: Any, **more: Any) -> None:
        losses = [said["loss"] for said in state.log_history if "loss" in said]
        self.last = self._publisher.publish(
            what,
            step=state.global_step,
            loss=losses[-1] if losses else None,
            run=self._run or getattr(args, "run_name", None),
            annotations=self._annotations,
            **more,
        )
