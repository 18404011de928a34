"""The graph tells the truth: dvc.yaml names what each stage imports and which settings it reads."""

import ast
import csv
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dvc_render.vega import VegaRenderer
from pydantic import BaseModel

ROOT = Path(__file__).parents[1]
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PLOTS = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
STAGES = sorted(GRAPH)


def imported_names(path: Path) -> Iterator[str]:
    """Every module a file may import, wherever in the file it does so."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are not followed here"
            yield str(node.module)
            yield from (f"{node.module}.{name.name}" for name in node.names)


def modules_of(path: Path, found: set[str] | None = None) -> set[str]:
    """The project's own modules that a file imports, directly or through others, and itself."""
    found = set() if found is None else found
    name = path.relative_to(ROOT).as_posix()
    if name not in found:
        found.add(name)
        packages = [folder / "__init__.py" for folder in path.parents if ROOT in folder.parents]
        names = [module.replace(".", "/") for module in imported_names(path)]
        files = [ROOT / f"{name}.py" for name in names]
        # A module is imported with the packages it lies in, of which few do anything.
        for file in [*files, *filter(does_something, packages)]:
            if file.is_file():
                modules_of(file, found)
    return found


def does_something(package: Path) -> bool:
    """Whether there is more in a package's own file than its docstring."""
    return len(ast.parse(package.read_text()).body) > 1


def settings_of(stage: str) -> set[str]:
    """The single settings that a stage loads, as `section.name` or `section.group.name`."""
    module = importlib.import_module(f"stages.{stage}")
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / "stages" / f"{stage}.py").read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "load":
            cls = eval(ast.unparse(node.args[0]), vars(module))
            section = ast.literal_eval(node.args[1])
            found.update(f"{section}.{name}" for name in names_of(cls))
    return found


def names_of(cls: type[BaseModel]) -> Iterator[str]:
    for name, field in cls.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from (f"{name}.{inner}" for inner in names_of(field.annotation))
        else:
            yield name


def flat(section: dict, prefix: str) -> Iterator[str]:
    for name, value in section.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}.{name}")
        else:
            yield f"{prefix}.{name}"


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_modules_that_the_stage_imports(stage):
    listed = {dep for dep in GRAPH[stage]["deps"] if dep.endswith(".py")}
    assert listed == modules_of(ROOT / "stages" / f"{stage}.py")


@pytest.mark.parametrize("stage", STAGES)
def test_folders_are_one_word_of_the_shell(stage):
    # DVC puts them into the command as they are, and a folder may be called "my pictures (1)".
    beside = re.findall(r"(.?)\$\{.*?\}(.?)", GRAPH[stage]["cmd"])
    assert all(one == ('"', '"') for one in beside)


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_the_settings_that_the_stage_loads(stage):
    assert set(GRAPH[stage]["params"]) == settings_of(stage)


def test_params_yaml_has_every_setting_and_no_other():
    written = {name for section, values in PARAMS.items() for name in flat(values, section)}
    assert written == {name for stage in STAGES for name in GRAPH[stage]["params"]}


@pytest.mark.parametrize("stage", STAGES)
def test_one_word_names_a_stage_everywhere(stage):
    assert f"python -m stages.{stage} " in GRAPH[stage]["cmd"]
    assert stage in PARAMS
    folder = "data/raw" if stage == "sample" else f"data/{stage}"
    for kind in ("outs", "metrics", "plots"):
        for out in GRAPH[stage].get(kind, []):
            assert (out if isinstance(out, str) else next(iter(out))).startswith(folder)


def outputs(kind: str) -> list[str]:
    """The paths of one kind of outputs, of all stages."""
    listed = [out for stage in GRAPH.values() for out in stage.get(kind, [])]
    return [out if isinstance(out, str) else next(iter(out)) for out in listed]


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: next(iter(plot)))
def test_a_plot_is_of_an_output_and_its_template_takes_its_columns(plot):
    [described] = plot.values()
    for file, named in described["y"].items():
        assert file.startswith(tuple(outputs("plots")))
        if not (ROOT / file).is_file():
            continue  # Git has those of the last stages, which are small
        delimiter = "\t" if file.endswith(".tsv") else ","
        rows = list(csv.DictReader((ROOT / file).open(), delimiter=delimiter))
        columns = [named] if isinstance(named, str) else named
        assert {described["x"], *columns} <= set(rows[0]), file
        spec = VegaRenderer(
            [{**row, "rev": "workspace"} for row in rows],
            "plot",
            template=described.get("template"),
            template_dir=str(ROOT / ".dvc" / "plots"),
            x=described["x"],
            y=columns[0],
        ).get_filled_template()
        fields = {part.get("field") for part in spec.get("encoding", {}).values()}
        assert fields <= {*rows[0], "rev", None}
        assert "<DVC_" not in json.dumps(spec)


def test_packages_do_nothing_but_prepare_the_process():
    # What they do, they do for every module below them.
    doing = [path for path in ROOT.glob("pipeline/**/__init__.py") if does_something(path)]
    assert doing == [ROOT / "pipeline" / "__init__.py"]


def test_pipeline_imports_neither_stages_nor_typer():
    for path in ROOT.glob("pipeline/**/*.py"):
        roots = {name.split(".")[0] for name in imported_names(path)}
        assert not roots & {"stages", "typer"}, path


LIGHT = ["sample", "ingest", "clean", "explore", "vocabulary", "report", "compare"]


@pytest.mark.parametrize("command", LIGHT)
def test_light_commands_do_not_import_tensorflow(command):
    modules = modules_of(ROOT / "stages" / f"{command}.py")
    assert len(modules) > 5
    heavy = {"tensorflow", "keras", "great_expectations"}
    if command == "explore":  # works on tokens
        heavy.add("nltk")
    for module in modules:
        roots = {name.split(".")[0] for name in imported_names(ROOT / module)}
        assert not roots & heavy, module
