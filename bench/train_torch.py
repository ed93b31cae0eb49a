"""The side of torch + peft in train_step.py: one command a line in, one JSON answer a line out."""

import json
import pathlib
import sys
import time

import peft
import torch
import transformers


class Training:
    def load(self, command):
        torch.set_num_threads(command["threads"])
        torch.manual_seed(1)
        file = pathlib.Path(command["model"])
        model = transformers.AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=getattr(torch, command["dtype"])
        )
        rank = command["rank"]
        adapter = peft.LoraConfig(
            r=rank,
            lora_alpha=command["scale"] * rank,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        self.model = peft.get_peft_model(model, adapter)
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.clip = command["clip"]
        self.optimizer = torch.optim.AdamW(
            self.trained, lr=command["rate"], weight_decay=command["decay"]
        )
        return {}

    def prepare_training(self, command):
        rows = torch.tensor(command["rows"])
        self.ids = rows[:, :-1].contiguous()
        self.targets = rows[:, 1:].clone()
        self.targets[:, : self.targets.shape[1] - command["counted"]] = -100
        return {}

    def step(self):
        logits = self.model(input_ids=self.ids).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), self.targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.detach())

    def train(self, command):
        clock = time.process_time if command.get("processor_time") else time.perf_counter
        start, done = clock(), 0
        while done == 0 or clock() - start < command["seconds"]:
            loss = self.step()
            done += self.ids.numel()
        return {"rate": done / (clock() - start), "loss": loss}


def main():
    training = Training()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(training, command["do"])(command)
        except Exception as e:  # goes to the other side, which ends the run
            answer = {"error": f"{type(e).__name__}: {e}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
