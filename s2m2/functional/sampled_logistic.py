"""Multinomial logistic regression on more items than dimensions, as scikit-learn fits it."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from scipy.optimize import minimize
from torch import Tensor

from s2m2.functional.linear import where_doubles_are

TOLERANCE = 1e-4
"""L-BFGS ends when no derivative of the mean loss is larger: scikit-learn's default, which ends long before the minimum where classes
can be told apart without error. Where it ends is part of the classifier."""
MAX_STEPS = 1000
OPTIONS = {"maxiter": MAX_STEPS, "maxls": 50, "gtol": TOLERANCE, "ftol": 64 * float(np.finfo(np.float64).eps)}


def fit_sampled_logistic(
    features: Float[Tensor, "item dim"], labels: Int64[Tensor, " item"], ways: int, *, inverse_penalty: float
) -> tuple[Float[Tensor, "way dim"], Float[Tensor, " way"]]:
    """Weights and intercepts of one task after L-BFGS from zero, in the steps of scikit-learn's `LogisticRegression`.

    The loss is the mean cross entropy plus half the squared weights over C times the items. SciPy's L-BFGS keeps its own numbers in
    float64; loss and gradient come from products in the precision of the features.

    Args:
        inverse_penalty: C.
    """
    device, features = features.device, where_doubles_are(features)
    items, dim = features.shape
    targets = F.one_hot(labels.to(features.device), ways).to(features.dtype)
    decay = 1 / (inverse_penalty * items)

    def loss_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = torch.from_numpy(flat).reshape(ways, dim + 1)
        exact_weights, weights = parameters[:, :-1], parameters.to(features)
        logits = torch.addmm(weights[:, -1], features, weights[:, :-1].T)
        normalizers = logits.logsumexp(1, keepdim=True)
        loss = (normalizers.sum(dtype=torch.float64) - (logits * targets).sum(dtype=torch.float64)) / items
        residuals = logits.sub_(normalizers).exp_().sub_(targets)
        gradient = torch.cat([residuals.T @ features, residuals.sum(0)[:, None]], dim=1).double().cpu() / items
        gradient[:, :-1] += decay * exact_weights
        return float(loss) + decay / 2 * float(exact_weights.square().sum()), gradient.flatten().numpy()

    found = minimize(loss_and_gradient, np.zeros(ways * (dim + 1)), jac=True, method="L-BFGS-B", options=OPTIONS)
    parameters = torch.from_numpy(found.x).reshape(ways, dim + 1).to(features.dtype).to(device)
    return parameters[:, :-1], parameters[:, -1]
