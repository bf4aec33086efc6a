"""The parameters of what a sequential model minimises, and which of them a model allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from indl.params.param import LARGEST, LARGEST_SEED, MOST_EPOCHS, MOST_UNITS, Param

#: How the density of all trials' posteriors together is estimated from those of a batch.
ESTIMATORS = ("mss", "mss_rao_blackwell", "mws")
_LATENTS = ("f", "z", "both")
#: Objectives of several samples a trial, weighted against each other.
MANY_SAMPLES = ("iwae", "dreg", "vimco", "rws")
_GROUP = "Objective"

# fmt: off
OBJECTIVE_ROWS: tuple[Param, ...] = (
    Param("objective", "elbo", "choice", "what training minimises: the bound with weights on its divergences, or with "
          "something that pulls the dimensions of a latent apart; or that of q_f_samples samples a trial, by one of "
          "four estimates", _GROUP,
          choices=("elbo", "beta_tcvae", "factor_vae", "dip_vae_i", "dip_vae_ii", "capacity", *MANY_SAMPLES)),
    Param("tc_alpha", 1.0, "float", "'beta_tcvae': weight of the information of a latent about the trial", _GROUP,
          low=0, high=LARGEST),
    Param("tc_beta", 6.0, "float", "'beta_tcvae': weight of the total correlation of a latent's dimensions", _GROUP,
          low=0, high=LARGEST, search=("log", 1.0, 10.0)),
    Param("tc_gamma", 1.0, "float", "'beta_tcvae': weight of the KL of each dimension by itself", _GROUP,
          low=0, high=LARGEST),
    Param("tc_on", "f", "choice", "'beta_tcvae': the latents that are taken apart, z bin by bin", _GROUP,
          choices=_LATENTS),
    Param("tc_estimator", "mss", "choice", "estimate of the posterior of all trials from a batch, for 'beta_tcvae' and "
          "fz_mi_weight: stratified sampling, the same with equal weights for all other trials, or the biased weighted "
          "sampling", _GROUP, choices=ESTIMATORS),
    Param("n_data", None, "int", "training trials, for that estimate (None: `train` takes those of the recording)",
          _GROUP, low=1, high=LARGEST_SEED, none=True),
    Param("factor_gamma", 10.0, "float", "'factor_vae': weight of the total correlation of f that its discriminator "
          "sees", _GROUP, low=0, high=LARGEST, search=("log", 1.0, 100.0)),
    Param("factor_units", [1000] * 6, "units", "'factor_vae': units of the hidden layers of the discriminator", _GROUP,
          low=1, high=MOST_UNITS),
    Param("factor_learning_rate", 1e-4, "float", "'factor_vae': Adam's step size for the discriminator", _GROUP,
          low=1e-7, high=1),
    Param("dip_off_diagonal", 10.0, "float", "'dip_vae_*': weight of the squared covariances of the dimensions of f",
          _GROUP, low=0, high=LARGEST, search=("log", 1.0, 50.0)),
    Param("dip_diagonal", None, "float", "'dip_vae_*': weight of the squared distance of their variances from 1 (None: "
          "ten times dip_off_diagonal for i, the same for ii)", _GROUP, low=0, high=LARGEST, none=True),
    Param("capacity_max", 25.0, "float", "'capacity': nats a trial that the latents are held at in the end", _GROUP,
          low=0, high=LARGEST, search=("float", 5.0, 100.0)),
    Param("capacity_steps", 2000, "int", "'capacity': steps in which the capacity rises from 0", _GROUP,
          low=1, high=MOST_EPOCHS),
    Param("capacity_gamma", 1000.0, "float", "'capacity': weight of the distance from the capacity", _GROUP,
          low=0, high=LARGEST),
    Param("capacity_on", "f", "choice", "'capacity': the latents whose KL, added up, is held", _GROUP,
          choices=_LATENTS),
    Param("f_free_bits", 0.0, "float", "nats of KL that a dimension of f has for nothing (mean over a batch; 0: none)",
          _GROUP, low=0, high=LARGEST),
    Param("z_free_bits", 0.0, "float", "nats of KL a bin that a dimension of z has for nothing (mean over a batch and "
          "its bins; 0: none)", _GROUP, low=0, high=LARGEST),
    Param("kl_balance", None, "float", "share of the KL's gradient that trains a learned prior; the posterior has the "
          "rest (None: both have the whole)", _GROUP, low=0.01, high=0.99, none=True),
    Param("fz_mi_weight", 0.0, "float", "weight of the mutual information of f and z in a bin (0: none)", _GROUP,
          low=0, high=LARGEST),
)
# fmt: on

#: Beginnings of the names of what belongs to one objective alone.
PREFIXES = {
    "beta_tcvae": "tc_",
    "factor_vae": "factor_",
    "dip_vae_i": "dip_",
    "dip_vae_ii": "dip_",
    "capacity": "capacity_",
}
#: Priors of each latent that depend on more of a trial than the latent's own past.
_OF_TRIALS = {"f": ("cond", "lookup"), "z": ("cond",)}
#: What decides whether the posterior of z is its own path.
_PATH = ("gen_cell_type", "q_z_type")


def latents_of(choice: str) -> tuple[str, ...]:
    """The latents that a choice of ``"f"``, ``"z"`` or ``"both"`` names."""
    return ("f", "z") if choice == "both" else (choice,)


def estimates_aggregate(p: Mapping[str, Any]) -> bool:
    """Whether the loss estimates the posterior of all training trials, whose number it then needs."""
    return p.get("objective") == "beta_tcvae" or p.get("fz_mi_weight", 0) > 0


def absent_rows(p: Mapping[str, Any]) -> list[str]:
    """Beginnings of the names of parameters that play no part in the objective of complete params."""
    own = PREFIXES.get(p["objective"])
    return [prefix for prefix in dict.fromkeys(PREFIXES.values()) if prefix != own]


def prior_learns(p: Mapping[str, Any], latent: str) -> bool:
    """Whether the model has the latent, with a prior that is trained."""
    if not p[f"{latent}_latent_size"]:
        return False
    trained = p[f"{latent}_prior_train_mean"] or p[f"{latent}_prior_train_var"]
    if latent == "f":
        return p["f_prior_type"] == "cond" or (p["f_prior_type"] == "mvn" and not p["f_prior_kappa"] and trained)
    process = p["z_prior_process"]
    return process != "standard" and (trained or (process == "AR1" and p["z_prior_train_tau"]))


def check_objective(p: Mapping[str, Any], refuse: Callable[..., None]) -> None:
    """Refuses an objective, and what is added to one, where latents, posteriors or priors do not allow it."""
    objective = p["objective"]
    if p["f_latent_size"] and p["f_prior_type"] == "lookup" and (objective != "elbo" or p["f_free_bits"]):
        refuse(
            "A prior of sequences has a bound of its own.",
            ("f_prior_type", "objective", "f_free_bits"),
            "Use objective='elbo' and f_free_bits=0, or f_prior_type='standard'.",
        )
    used = {
        "beta_tcvae": latents_of(p["tc_on"]),
        "factor_vae": ("f",),
        "dip_vae_i": ("f",),
        "dip_vae_ii": ("f",),
        "capacity": latents_of(p["capacity_on"]),
    }.get(objective, ())
    which = {"beta_tcvae": ("tc_on",), "capacity": ("capacity_on",)}.get(objective, ())
    additions = [key for key in ("f_free_bits", "z_free_bits", "kl_balance", "fz_mi_weight") if p[key]]
    if (objective != "elbo" or additions) and not p["variational"]:
        refuse(
            "An auto-encoder without KL has no posteriors to shape.",
            ("variational", "objective", *additions),
            "Use variational=True, or objective='elbo' without additions.",
        )
    for latent in used:
        if not p[f"{latent}_latent_size"]:
            refuse(
                f"The objective shapes {latent}, which the model does not have.",
                ("objective", *which, f"{latent}_latent_size"),
                "Name the other latent, or give this one a size.",
            )
    if objective in ("beta_tcvae", "factor_vae", "dip_vae_i", "dip_vae_ii"):
        _check_aggregate(p, refuse, used, ("objective", *which))
    if objective in MANY_SAMPLES:
        _check_many_samples(p, refuse, additions)
        return
    _check_free_bits(p, refuse, used, ("objective", *which))
    if p["fz_mi_weight"]:
        _check_mutual_information(p, refuse)
    if p["kl_balance"] is not None:
        _check_balance(p, refuse)
    couples = objective != "elbo" or p["f_free_bits"] or p["z_free_bits"] or p["fz_mi_weight"]
    if couples and p["batch_size"] == 1:
        refuse(
            "The objective compares the trials of a batch.",
            ("objective", *additions, "batch_size"),
            "Use a batch_size of 2 at least; some dozens are better.",
        )


def _check_many_samples(p: Mapping[str, Any], refuse: Callable[..., None], additions: list[str]) -> None:
    """What weights of samples need."""
    if p["q_f_samples"] < 2:
        refuse(
            "Samples are weighted against each other.",
            ("objective", "q_f_samples"),
            "Use 5, or objective='elbo', the bound of one.",
        )
    if p["loss_reduction"] == "mean":
        refuse(
            "Weights of samples are those of whole trials.",
            ("objective", "loss_reduction"),
            "Use loss_reduction='sum', with loss_scale for the size of the loss.",
        )
    if additions or p["alpha"]:
        refuse(
            "What is added to a divergence has no place where there is none.",
            ("objective", *additions, *(("alpha",) if p["alpha"] else ())),
            "Leave it out, or use objective='elbo'.",
        )


def _check_aggregate(p: Mapping[str, Any], refuse: Callable[..., None], used: tuple, named: tuple) -> None:
    """What a latent needs whose posterior of all trials together is shaped."""
    prior = {"f": "f_prior_type", "z": "z_prior_process"}
    for latent in used:
        if p[prior[latent]] in _OF_TRIALS[latent]:
            refuse(
                f"With a prior of {latent} that depends on the trial, its dimensions belong together as the priors do.",
                (*named, prior[latent]),
                f"Use one prior for all trials, such as {prior[latent]}='standard', or objective='elbo'.",
            )
        if p[f"{latent}_latent_off_diag"] and p["objective"] in ("beta_tcvae", "dip_vae_ii"):
            refuse(
                "The posterior of one trial must have independent dimensions, or the latent never has.",
                (*named, f"{latent}_latent_off_diag"),
                f"Use {latent}_latent_off_diag=False.",
            )
    if "z" in used:
        _check_bins(p, refuse, named)


def _check_bins(p: Mapping[str, Any], refuse: Callable[..., None], named: tuple) -> None:
    """What z needs for the posteriors of all trials in a bin to be compared."""
    if z_has_path(p):
        refuse(
            "Each bin of this posterior of z depends on the draws before it, so that no other trial's z has a density "
            "under it.",
            (*named, *_PATH),
            "Shape f alone, or use a mean-field posterior.",
        )
    if p["missing_data"]:
        refuse(
            "In a bin that some trials do not reach, there is no z of all trials.",
            (*named, "missing_data"),
            "Shape f alone, or use trials of one length without gaps.",
        )


def z_has_path(p: Mapping[str, Any]) -> bool:
    """Whether a bin of z is drawn given the draws of the bins before; see ``Gaussian.has_path``."""
    return p["gen_cell_type"] == "Complex" or p["q_z_type"] == "combiner"


def _check_free_bits(p: Mapping[str, Any], refuse: Callable[..., None], used: tuple, named: tuple) -> None:
    for latent in "fz":
        key = f"{latent}_free_bits"
        if not p[key]:
            continue
        if not p[f"{latent}_latent_size"]:
            refuse("Only a latent of the model has a KL.", (key, f"{latent}_latent_size"), f"Use {key}=0.")
        if latent in used and p["objective"] in ("beta_tcvae", "capacity"):
            refuse(
                f"The objective has a price of its own for the KL of {latent}.",
                (*named, key),
                f"Use {key}=0, or objective='elbo'.",
            )
        if p[f"{latent}_latent_off_diag"]:
            refuse(
                "The KL of a full covariance is no sum over dimensions.",
                (key, f"{latent}_latent_off_diag"),
                f"Use {latent}_latent_off_diag=False.",
            )
        if p["alpha"]:
            refuse("The encoder's own KL, of which alpha is the share, has no floor.", (key, "alpha"), "Use alpha=0.")
    if not p["z_free_bits"]:
        return
    if p["z_prior_process"] == "student_t" or p["z_kl_mode"] in ("sampled", "fresh"):
        refuse(
            "A sampled KL may be negative, which no floor is for.",
            ("z_free_bits", "z_prior_process", "z_kl_mode"),
            "Use a Gaussian prior with z_kl_mode='auto'.",
        )
    if p["missing_data"]:
        refuse(
            "The mean over bins would hold such as some trials do not reach.",
            ("z_free_bits", "missing_data"),
            "Use f_free_bits alone, or trials of one length without gaps.",
        )


def _check_mutual_information(p: Mapping[str, Any], refuse: Callable[..., None]) -> None:
    sizes = ("f_latent_size", "z_latent_size")
    if not all(p[size] for size in sizes):
        refuse("Information is shared by two latents.", ("fz_mi_weight", *sizes), "Give both a size.")
    full = ("f_latent_off_diag", "z_latent_off_diag")
    if any(p[key] for key in full):
        refuse(
            "The densities of a batch are taken dimension by dimension.", ("fz_mi_weight", *full), "Leave both False."
        )
    priors = ("f_prior_type", "z_prior_process")
    if all(p[key] == "cond" for key in priors):
        refuse(
            "Priors that both depend on the label make f and z depend on each other.",
            ("fz_mi_weight", *priors),
            "Let the label enter one of them.",
        )
    if p["tc_estimator"] == "mws":
        refuse(
            "Weighted sampling adds the logarithm of trials times batch to the information.",
            ("fz_mi_weight", "tc_estimator"),
            "Use tc_estimator='mss'.",
        )
    _check_bins(p, refuse, ("fz_mi_weight",))


def _check_balance(p: Mapping[str, Any], refuse: Callable[..., None]) -> None:
    if not any(prior_learns(p, latent) for latent in "fz"):
        refuse(
            "A fixed prior takes no share of a gradient.",
            ("kl_balance", "f_prior_type", "z_prior_process"),
            "Use a learned prior, or kl_balance=None.",
        )
    if p["q_cond"] == "product" or p["use_generative_prior"]:
        refuse(
            "A product posterior holds the prior, so that their gradients have no shares.",
            ("kl_balance", "q_cond", "use_generative_prior"),
            "Use q_cond='concat' and use_generative_prior=False, or kl_balance=None.",
        )
