"""Builds and installs atari-dqn: the library `agents`, the commands `launch`, the gin files."""

import os
import re
import sys

if not (3, 10) <= sys.version_info[:2] <= (3, 11):
    sys.exit(
        "atari-dqn needs Python 3.10 or 3.11 (TensorFlow 2.15 and Reverb 0.14 have no wheels for"
        " others); this is Python {}.{}.{}".format(*sys.version_info[:3])
    )

# Only now: where the Python is unsuitable, setuptools may be missing or fail on its own.
from setuptools import find_packages, setup


def read(*path):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), *path)) as file:
        return file.read()


HUB = ["huggingface_hub>=2,<3"]
PLOT = [
    "matplotlib>=3.8",
    "pandas<3",  # rliable's arch fails with pandas 3
    "rliable>=1.0.8",
]
REPORT = ["matplotlib>=3.8", "jinja2>=3.1"]
TUNE = ["matplotlib>=3.8", "optuna>=5,<6"]
VIDEO = ["imageio-ffmpeg>=0.5"]

setup(
    name="atari-dqn",
    version=re.search(r'__version__ = "(.+)"', read("agents", "__init__.py")).group(1),
    description="Deep Q-learning for Atari games on TF-Agents and Reverb",
    long_description=read("README.md"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.12",
    packages=find_packages(include=["agents", "agents.*", "gin_configs", "launch"]),
    package_data={"agents": ["data/*", "reporting/*.html"], "gin_configs": ["*.gin", "*.space"]},
    # Reverb 0.14, the last one, is linked against TensorFlow 2.15, and TF-Agents 0.19 pins
    # typing-extensions; constraints.txt names one set of versions that fits together.
    install_requires=[
        "tensorflow>=2.15.1,<2.16",
        "tensorflow-serving-api>=2.15.1,<2.16",
        "tf-agents[reverb]>=0.19.0,<0.20",
        "dm-reverb>=0.14.0,<0.15",
        "tensorboard>=2.15,<2.16",
        "gymnasium>=1.1,<2",
        "ale-py>=0.12.1,<0.13",
        "absl-py>=1.4",
        "aiohttp>=3.10,<4",
        "gin-config>=0.5.0,<0.6",
        "grpcio>=1.62,<2",
        "numpy>=1.23.5,<2",
        "packaging>=23",
        "pillow>=10",
        "prometheus-client>=0.20,<1",
        "psutil>=5.9",
        "requests>=2.31,<3",
        "rich>=13",
        "scipy>=1.15",
        "setuptools>=70.1,<80.9",  # TensorBoard 2.15 imports pkg_resources; 80.9 warns of that
    ],
    extras_require={
        "cuda": ["tensorflow[and-cuda]>=2.15.1,<2.16"],
        "hub": HUB,
        "onnx": ["tf2onnx>=1.16,<2", "onnx>=1.16,<1.18", "onnxruntime>=1.18"],
        "plot": PLOT,
        "report": REPORT,
        "tune": TUNE,
        "video": VIDEO,
        "test": [
            *HUB,
            *PLOT,
            *REPORT,
            *TUNE,
            *VIDEO,
            "hypothesis>=6.100",
            "opencv-python-headless>=4.9,<4.12",
            "playwright>=1.45",
            "pyright[nodejs]>=1.1.400",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.6",
        ],
    },
    entry_points={
        "console_scripts": [
            "atari-dqn-train = launch.train:cli",
            "atari-dqn-benchmark = launch.benchmark:cli",
            "atari-dqn-plot = launch.plot:cli",
            "atari-dqn-evaluate = launch.evaluate:cli",
            "atari-dqn-record = launch.record:cli",
            "atari-dqn-benchmark_table = launch.benchmark_table:cli",
            "atari-dqn-export = launch.export:cli",
            "atari-dqn-serve = launch.serve:cli",
            "atari-dqn-play = launch.play:cli",
            "atari-dqn-dashboard = launch.dashboard:cli",
            "atari-dqn-doctor = launch.doctor:cli",
            "atari-dqn-hub = launch.hub:cli",
            "atari-dqn-report = launch.report:cli",
            "atari-dqn-tune = launch.tune:cli",
        ]
    },
)
