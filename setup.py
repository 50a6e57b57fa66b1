"""The package's metadata, read from settings.ini: the project's one configuration."""

from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="])
parser.read(here / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]

extras = {
    name.removesuffix("_requirements"): packages.split()
    for name, packages in cfg.items()
    if name.endswith("_requirements")
}
at_run_time = [package for name in extras if name != "dev" for package in extras[name]]

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    url=cfg["git_url"],
    license="Apache-2.0",
    keywords=cfg["keywords"].split(),
    packages=find_packages(include=[cfg["lib_path"], cfg["lib_path"] + ".*"]),
    package_data={cfg["lib_path"]: ["py.typed", "page/index.html"]},
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg["requirements"].split(),
    extras_require=extras | {"all": at_run_time},
    entry_points={
        "console_scripts": cfg["console_scripts"].split(),
        # Lets nbdev's documentation turn `EventDrivenTCPServer` into a link.
        "nbdev": [f"{cfg['lib_name']}={cfg['lib_path']}._modidx:d"],
    },
)
