"""Router, importance and load: cases computed by hand, and the formulas of Shazeer et al. (1701.06538)."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from study.vit.models.balance import Balance, Routing, balance, squared_variation
from study.vit.models.moe import Router

CPU = torch.device("cpu")


def routing(gates: list[list[float]], chances: list[list[float]] | None = None) -> Routing:
    """A routing from one row per token."""
    gates_ET = torch.tensor(gates, dtype=torch.float64).T
    return Routing(gates_ET, gates_ET > 0, None if chances is None else torch.tensor(chances, dtype=torch.float64).T)


def router(clean: list[float], spread: list[float] | None, top_k: int) -> Router:
    """A router that gives every token the same scores: its biases."""
    built = Router(1, len(clean), top_k, noise=spread is not None, bias=True).double()
    raw = [] if spread is None else [math.log(math.expm1(value)) for value in spread]  # inverse of softplus
    built.scores.weight.data.zero_()
    built.scores.bias.data = torch.tensor(clean + raw, dtype=torch.float64)
    return built


# Rule: squared variation is the population variance over the squared mean.


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 3], 1 / 4),  # mean 2, variance 1
        ([5, 5, 5], 0),
        ([6, 0, 0], 2),  # one expert receives all: experts - 1
        ([1.25, 0.25, 0.5], 0.40625),  # mean 2/3, variance 13/72
    ],
)
def test_squared_variation_by_hand(values: list[float], expected: float) -> None:
    found = squared_variation(torch.tensor([values], dtype=torch.float64))
    assert found.tolist() == pytest.approx([expected])


# Rule: importance sums router weights over tokens; its loss is weight x squared variation, summed over layers.


def test_importance_loss_by_hand() -> None:
    layer = routing([[0.75, 0.25, 0], [0.5, 0, 0.5]])  # importance 1.25, 0.25, 0.5
    assert balance([layer], 0.01, 0.0, CPU).loss.item() == pytest.approx(0.0040625)
    other = routing([[1.0, 0], [1.0, 0]])  # importance 2, 0: squared variation 1
    assert balance([layer, None, other, layer], 0.01, 0.0, CPU).loss.item() == pytest.approx(0.0040625 * 2 + 0.01)


def test_load_loss_by_hand() -> None:
    layer = routing([[1, 0], [0, 1]], chances=[[0.9, 0.1], [0.6, 0.4]])  # load 1.5, 0.5: mean 1, variance 1/4
    assert balance([layer], 0.0, 0.02, CPU).loss.item() == pytest.approx(0.005)
    assert balance([layer], 5.0, 0.02, CPU).loss.item() == pytest.approx(0.005)  # importance is balanced: adds nothing


def test_load_is_the_share_of_kept_pairs() -> None:
    found: Balance = balance([routing([[0.7, 0.3, 0], [0.5, 0, 0.5]]), None], 0.0, 0.0, CPU)
    assert [share.tolist() for share in found.load] == [[0.5, 0.25, 0.25], [1.0]]
    assert found.loss.item() == 0


# Rule: exactly k experts are kept, weighted by the softmax over the kept ones.


def test_weights_by_hand() -> None:
    found = router([math.log(3), 0.0, -5.0], None, top_k=2)(torch.zeros(1, 1, dtype=torch.float64))
    assert found.gates_ET[:, 0].tolist() == pytest.approx([0.75, 0.25, 0])
    assert found.kept_ET[:, 0].tolist() == [True, True, False]
    assert found.chances_ET is None


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=2, max_size=6), st.data())
@settings(max_examples=50, deadline=None)
def test_exactly_k_are_kept_even_where_scores_tie(clean: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(clean)))
    found = router(clean, None, k)(torch.zeros(3, 1, dtype=torch.float64))
    assert found.kept_ET.sum(0).tolist() == [k] * 3
    assert ((found.gates_ET > 0) == found.kept_ET).all()
    assert found.gates_ET.sum(0).tolist() == pytest.approx([1] * 3)
    assert min(torch.tensor(clean)[found.kept_ET[:, 0]]) >= sorted(clean)[-k]


# Rule: the chance of expert i is Phi((clean_i - kth largest noisy score of the others) / spread_i): eq. 9.


def noisy(built: Router, tokens: int) -> tuple[Routing, Tensor]:
    """A routing, and the noise that went into it."""
    torch.manual_seed(3)
    draw_ET = torch.randn(built.num_experts, tokens, dtype=torch.float64)
    torch.manual_seed(3)
    return built.train()(torch.zeros(tokens, 1, dtype=torch.float64)), draw_ET


def phi(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


def test_chance_of_two_experts_by_hand() -> None:
    found, draw = noisy(router([0.3, 0.1], [0.5, 2.0], top_k=1), tokens=5)
    for t in range(5):
        first, second = 0.3 + 0.5 * draw[0, t].item(), 0.1 + 2.0 * draw[1, t].item()
        assert found.chances_ET is not None
        assert found.chances_ET[:, t].tolist() == pytest.approx([phi((0.3 - second) / 0.5), phi((0.1 - first) / 2.0)])
        assert found.kept_ET[:, t].tolist() == [first > second, second > first]


def test_the_rival_is_the_kth_largest_of_the_others() -> None:
    # Almost no noise, scores 4 > 3 > 2 > 1, two kept. Rivals: 2 for the first and the second, 3 for the others.
    found, _ = noisy(router([4.0, 3.0, 2.0, 1.0], [1e-3] * 4, top_k=2), tokens=1)
    assert found.chances_ET is not None
    assert found.chances_ET[:, 0].tolist() == pytest.approx([1, 1, 0, 0])
    wide, draw = noisy(router([4.0, 3.0, 2.0, 1.0], [1e-9, 1e-9, 1e-9, 10.0], top_k=2), tokens=200)
    last = 1 + 10 * draw[3]
    assert wide.chances_ET is not None
    assert wide.chances_ET[3].tolist() == pytest.approx([phi((1 - 3) / 10)] * 200)  # against 3, whatever its own noise
    assert wide.kept_ET[3].tolist() == (last > 3).tolist()


def test_no_load_loss_if_all_experts_are_kept() -> None:
    built = router([2.0, 1.0, 0.0], [1.0] * 3, top_k=3)
    found, draw = noisy(built, tokens=4)
    expected = (torch.tensor([[2.0], [1.0], [0.0]]) + draw).softmax(0)
    torch.testing.assert_close(found.gates_ET, expected)
    assert balance([found], 0.0, 1.0, CPU).loss.item() == 0


def test_the_load_loss_trains_both_router_matrices() -> None:
    torch.manual_seed(0)
    built = Router(4, 3, top_k=1, noise=True, bias=True).double()
    torch.nn.init.normal_(built.scores.weight)
    torch.nn.init.zeros_(built.scores.bias)
    found = built(torch.randn(20, 4, dtype=torch.float64))
    balance([found], 0.0, 1.0, CPU).loss.backward()
    assert built.scores.weight.grad is not None
    assert (built.scores.weight.grad.abs().sum(1) > 0).all()


# Rule: noise is drawn in training only, and only if it is on.


def test_noise_is_off_in_evaluation_and_if_disabled() -> None:
    x = torch.zeros(50, 1, dtype=torch.float64)
    noisy_router = router([0.1, 0.0, -0.1], [5.0] * 3, top_k=1)
    assert noisy_router.train()(x).kept_ET.any(1).all()  # every expert is kept somewhere
    assert noisy_router.eval()(x).kept_ET.sum(1).tolist() == [50, 0, 0]
    plain_router = router([0.1, 0.0, -0.1], None, top_k=1)
    assert plain_router.train()(x).kept_ET.sum(1).tolist() == [50, 0, 0]
    assert plain_router.scores.weight.shape == (3, 1)  # no matrix for the noise
