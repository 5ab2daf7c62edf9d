"""The subcommands: what each is for, its settings, and the function that it calls."""

from dataclasses import dataclass

from s2m2.recipe import (
    CompareConfig,
    DoctorConfig,
    ExportConfig,
    FeatureFileConfig,
    FitConfig,
    ImportConfig,
    PredictConfig,
    PrepareConfig,
    ProfileConfig,
    ServeConfig,
    SuggestConfig,
    TableConfig,
)

SECTIONS = ("seed", "data", "model", "pretrain", "finetune", "evaluate", "analyze", "runtime")
"""Sections of the recipe."""
RUN_USAGE = "s2m2 {} [RECIPE] [--run DIR] [--SETTING VALUE ...]"
CONTINUES = "the same command continues from the last checkpoint"
NOTHING = "nothing was written"


@dataclass(frozen=True, kw_only=True)
class Command:
    """A subcommand of `s2m2`."""

    summary: str
    usage: str
    target: str
    """Function that it calls, `module:name`."""
    examples: tuple[tuple[str, str], ...] = ()
    """Calls, each with what it does."""
    config: type | None = None
    """Dataclass of its own settings."""
    positional: tuple[str, ...] = ()
    """Settings of its own that may stand without a flag."""
    several: str | None = None
    """Setting of its own that takes all further words without a flag."""
    literal: tuple[str, ...] = ()
    """Settings of its own, lists, whose values are taken as they are, with their commas and brackets."""
    sections: tuple[str, ...] = ()
    """Sections of the recipe that its help shows; none if it takes no recipe."""
    has_run: bool = False
    """It works on a run directory, `--run`."""
    trained: tuple[str, ...] = ()
    """Settings that name a trained network: a folder, or weights by their name."""
    common: tuple[str, ...] = ()
    """Settings of the recipe that its short help shows."""
    alone: bool = False
    """Processes that are started together have nothing to do with each other."""
    interrupted: str = CONTINUES
    """What to say after Ctrl-C."""


COMMANDS = {
    "fit": Command(
        summary="Learn your own classes from a few labeled images of each.",
        usage="s2m2 fit IMAGES --output MODEL [--SETTING VALUE ...]",
        examples=(
            ("s2m2 fit birds/ --output models/birds", "a folder with a folder for each class"),
            ("s2m2 fit more/ --output models/birds --add true", "more images, or new classes"),
        ),
        target="s2m2.commands.recognition:fit_command",
        config=FitConfig,
        positional=("images",),
        interrupted=NOTHING,
    ),
    "predict": Command(
        summary="Name images with a model of `s2m2 fit`: class, probability, alternatives, none of these.",
        usage="s2m2 predict MODEL PHOTOS... [--output FILE] [--SETTING VALUE ...]",
        examples=(
            ("s2m2 predict models/birds photos/ --output predictions.csv", "all images below a folder"),
            ("find . -name '*.jpg' | s2m2 predict models/birds - --output birds.jsonl", "names on standard input"),
        ),
        target="s2m2.commands.recognition:predict_command",
        config=PredictConfig,
        positional=("model",),
        several="photos",
        alone=True,
        interrupted="the same command continues after the parts that are written, if any",
    ),
    "suggest": Command(
        summary="Tell which unlabeled images are the most useful to label next.",
        usage="s2m2 suggest MODEL PHOTOS... [--output FILE.csv] [--SETTING VALUE ...]",
        examples=(("s2m2 suggest models/birds photos/ --output next.csv", "ten images, with a guess to correct"),),
        target="s2m2.commands.suggesting:suggest_command",
        config=SuggestConfig,
        positional=("model",),
        several="photos",
        interrupted=NOTHING,
    ),
    "run": Command(
        summary="Train both stages, evaluate, and write a report. Without a recipe: the quick one.",
        usage=RUN_USAGE.format("run"),
        examples=(
            ("s2m2 run", "the quick recipe: offline, minutes on a CPU"),
            ("s2m2 run configs/cifar_fs/cpu.yaml", "a recipe file"),
            ("s2m2 run --data.path datasets/birds --run runs/birds", "your own images"),
        ),
        target="s2m2.commands.recipes:run",
        sections=SECTIONS,
        has_run=True,
        common=(
            "seed", "data.path", "model.backbone", "pretrain.objective", "pretrain.epochs", "pretrain.batch_size",
            "pretrain.optimizer.learning_rate", "finetune.epochs", "finetune.patience", "evaluate.classifiers", "evaluate.tasks",
            "runtime.accelerator", "runtime.precision",
        ),
    ),
    "prepare": Command(
        summary="Make a dataset from a folder of images.",
        usage="s2m2 prepare SOURCE --output DIR [--SETTING VALUE ...]",
        examples=(("s2m2 prepare birds/ --output datasets/birds", "class folders of images"),),
        target="s2m2.commands.datasets:prepare_command",
        config=PrepareConfig,
        positional=("source",),
        interrupted="the same command continues with the images decoded so far, if any",
    ),
    "evaluate": Command(
        summary="Score few-shot classifiers on a trained run, or on a file of features.",
        usage="s2m2 evaluate [RECIPE] [--run DIR | --features FILE] [--SETTING VALUE]",
        examples=(
            ("s2m2 evaluate --run runs/quick --evaluate.classifiers cosine tim", "other classifiers on a run"),
            ("s2m2 evaluate --features novel.npz", "any features, without a run"),
        ),
        target="s2m2.commands.recipes:evaluate",
        trained=("run",),
        config=FeatureFileConfig,
        sections=("data", "evaluate", "runtime"),
        has_run=True,
        common=(
            "data.path", "evaluate.classifiers", "evaluate.ways", "evaluate.shots", "evaluate.queries", "evaluate.tasks",
            "evaluate.protocols", "evaluate.split", "evaluate.features", "evaluate.seed",
        ),
    ),
    "compare": Command(
        summary="Compare two runs, classifiers or result files on the same tasks, in pairs.",
        usage="s2m2 compare FIRST [SECOND] [--SETTING VALUE ...]",
        examples=(("s2m2 compare runs/a runs/b", "each classifier of a with the same one of b"),),
        target="s2m2.commands.comparing:compare_command",
        config=CompareConfig,
        positional=("first", "second"),
        interrupted=NOTHING,
    ),
    "table": Command(
        summary="Make a table for a paper, and figures, from the scores of one or several runs.",
        usage="s2m2 table RUN... [--output FILE] [--SETTING VALUE ...]",
        examples=(
            ("s2m2 table runs/a runs/b --output scores.tex", "LaTeX; .md and .csv, too"),
            ("s2m2 table runs/a --features finetune --figures figures", "also curves, as PDF and SVG"),
        ),
        target="s2m2.commands.tabulating:table_command",
        config=TableConfig,
        several="runs",
        literal=("names",),
        interrupted=NOTHING,
    ),
    "settings": Command(
        summary="List the settings of a recipe, by section.",
        usage="s2m2 settings [SECTION]",
        examples=(
            ("s2m2 settings finetune.mix", "one section"),
            ("s2m2 settings evaluate.classifiers.tim", "one classifier"),
        ),
        target="s2m2.cli.setting_list:print_settings",
        interrupted=NOTHING,
    ),
    "pretrain": Command(
        summary="Stage 1: train a backbone on base classes with self-supervision.",
        usage=RUN_USAGE.format("pretrain"),
        examples=(("s2m2 pretrain configs/cifar_fs/cpu.yaml --run runs/a", "stage 1 of a recipe"),),
        target="s2m2.commands.recipes:pretrain",
        sections=("seed", "data", "model", "pretrain", "runtime"),
        has_run=True,
        common=(
            "seed", "data.path", "model.backbone", "pretrain.objective", "pretrain.epochs", "pretrain.batch_size",
            "pretrain.optimizer.name", "pretrain.optimizer.learning_rate", "pretrain.validation.every", "runtime.accelerator",
            "runtime.precision",
        ),
    ),
    "finetune": Command(
        summary="Stage 2: fine-tune with manifold mixup, with early stopping by the validation score.",
        usage=RUN_USAGE.format("finetune"),
        examples=(("s2m2 finetune --run runs/a", "stage 2 of a pretrained run"),),
        target="s2m2.commands.recipes:finetune",
        sections=("seed", "data", "model", "finetune", "runtime"),
        has_run=True,
        common=(
            "seed", "data.path", "finetune.epochs", "finetune.patience", "finetune.batch_size", "finetune.optimizer.learning_rate",
            "finetune.mix.alpha", "finetune.mix.stages", "finetune.auxiliary_weight", "runtime.accelerator", "runtime.precision",
        ),
    ),
    "analyze": Command(
        summary="Measure the representation of a run: class separation, flatness, calibration, robustness.",
        usage=RUN_USAGE.format("analyze"),
        examples=(("s2m2 analyze --run runs/quick", "every finished stage of a run"),),
        target="s2m2.commands.recipes:analyze",
        trained=("run",),
        sections=("data", "analyze", "runtime"),
        has_run=True,
        common=("data.path", "analyze.classes", "analyze.images", "analyze.predictions", "analyze.epsilons", "analyze.seed"),
        interrupted=NOTHING,
    ),
    "doctor": Command(
        summary="Inspect a dataset: counts, damaged files, duplicates, small classes, a contact sheet.",
        usage="s2m2 doctor DATA [--output FILE.html] [--SETTING VALUE ...]",
        examples=(("s2m2 doctor birds/", "images before `s2m2 prepare`"),),
        target="s2m2.commands.datasets:doctor_command",
        config=DoctorConfig,
        positional=("data",),
        interrupted=NOTHING,
    ),
    "profile": Command(
        summary="Time the parts of a training step of both stages on this machine.",
        usage="s2m2 profile [RECIPE] [--steps N] [--SETTING VALUE ...]",
        examples=(("s2m2 profile configs/cifar_fs/fast.yaml", "the steps of a recipe"),),
        target="s2m2.commands.recipes:profile_command",
        config=ProfileConfig,
        sections=("seed", "data", "model", "pretrain", "finetune", "runtime"),
        common=("data.path", "model.backbone", "pretrain.batch_size", "finetune.batch_size", "runtime.accelerator", "runtime.precision"),
        interrupted=NOTHING,
    ),
    "export": Command(
        summary="Write the weights of a run into a folder to give away, with a model card.",
        usage="s2m2 export --run DIR --output DIR [--SETTING VALUE ...]",
        examples=(("s2m2 export --run runs/quick --output quick-weights", "the last finished stage"),),
        target="s2m2.commands.weights:export_command",
        trained=("run",),
        config=ExportConfig,
        positional=("run",),
        interrupted=NOTHING,
    ),
    "import": Command(
        summary="Turn a checkpoint or features released by S2M2's authors into a run or a feature file.",
        usage="s2m2 import FILE --output PATH [--SETTING VALUE ...]",
        examples=(("s2m2 import best.tar --output runs/released", "a checkpoint"),),
        target="s2m2.commands.weights:import_command",
        trained=("source",),
        config=ImportConfig,
        positional=("source",),
        interrupted="the same command begins again, with another output",
    ),
    "serve": Command(
        summary="Name photos with a fitted model on a page in the browser, and for programs.",
        usage="s2m2 serve MODEL [--SETTING VALUE ...]",
        examples=(
            ("s2m2 serve birds", "http://127.0.0.1:8000, this computer only"),
            ("s2m2 serve birds --host 0.0.0.0", "for the network, with a token"),
        ),
        target="s2m2.commands.serving:serve_command",
        config=ServeConfig,
        positional=("model",),
        interrupted="every correction is saved",
    ),
}  # fmt: skip
MAIN_COMMANDS = ("fit", "predict", "run", "evaluate", "settings")
"""What people need first."""
FEATURE_FILE_TARGET = "s2m2.commands.recipes:evaluate_feature_file"
"""What `evaluate --features` calls."""
