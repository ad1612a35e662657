"""A method of your own: a trained scale and shift of what leaves every sublayer, after SSF (arXiv 2210.08823)."""

import torch

from petl_bench import Method, MethodConfig


class ScaleAndShift(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(width))
        self.shift = torch.nn.Parameter(torch.zeros(width))

    def forward(self, x):
        return x * self.scale + self.shift


class Rescale(Method):
    """Scale and shift of what leaves attention and FFN."""

    class Config(MethodConfig):
        sites: tuple[str, ...] = ("mhsa", "ffn")

    card = {"paper": "arXiv 2210.08823", "optimizer": {"lr": 1e-2}}

    def attach(self, backbone):
        self.train_norm(backbone, "norm_final")
        for layer in range(backbone.geometry.layers):
            for name in self.config.sites:
                self.adapt(backbone, backbone.site(name, layer))

    def adapt(self, backbone, site):
        module = ScaleAndShift(backbone.geometry.hidden_size)
        backbone.add(f"{site}_rescale", module, role="adapter")
        site.on_output(lambda x, y: module(y))

    def starts_as_identity(self):
        return True

    def expected_parameters(self, geometry, total):
        adapted = geometry.layers * len(self.config.sites)
        return 2 * geometry.hidden_size * adapted + self.norm_parameters(geometry, norms=1)
