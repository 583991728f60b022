"""The picture of step 2: the photograph, its colours as a cloud, and the times."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # without a display
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Patch

from histogram import THREADS, Result
from kernels import Histogram, Image


def colour_cloud(axes: Any, histogram: Histogram) -> None:
    bins = round(histogram.size ** (1 / 3))
    cube = histogram.reshape((bins,) * 3)
    where = np.argwhere(cube)
    counts = cube[tuple(where.T)]
    colours = (where + 0.5) / bins
    axes.scatter(*colours.T, s=4 + 260 * np.sqrt(counts / counts.max()), c=colours, alpha=0.85, linewidths=0)
    axes.set(xlabel="red", ylabel="green", zlabel="blue", xlim=(0, 1), ylim=(0, 1), zlim=(0, 1))
    axes.set_title(f"{len(where):,} of {bins**3:,} bins: one shared array")
    axes.view_init(elev=18, azim=-60)


def bars(axes: Any, results: list[Result]) -> None:
    places = np.arange(len(results))[::-1]
    sides = ((0.2, "1 thread", "alone", "0.7"), (-0.2, f"{THREADS} threads", "together", "tab:green"))
    for shift, _, key, colour in sides:
        times = [getattr(result, key) for result in results]
        colours = ["tab:red" if result.wrong and key == "together" else colour for result in results]
        drawn = axes.barh(places + shift, times, 0.38, color=colours)
        axes.bar_label(drawn, [f"{ns:.1f}" for ns in times], padding=3, fontsize=8)
    axes.set_yticks(places, [result.name.replace(", ", "\n") for result in results])
    axes.set_title("ns per pixel, median (red: wrong counts)")
    legend = [Patch(color=colour, label=label) for _, label, _, colour in sides]
    axes.legend(handles=legend, loc="lower right", frameon=False)
    axes.margins(x=0.15)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_xticks([])


def save(path: Path, image: Image, histogram: Histogram, results: list[Result]) -> None:
    figure = plt.figure(figsize=(15, 5.2), layout="constrained")
    grid = figure.add_gridspec(1, 3, width_ratios=[1, 1.35, 1.1])
    photograph = figure.add_subplot(grid[0])
    photograph.imshow(image)
    photograph.set_axis_off()
    photograph.set_title("grace_hopper.jpg")
    colour_cloud(figure.add_subplot(grid[1], projection="3d"), histogram)
    bars(figure.add_subplot(grid[2]), results)
    figure.savefig(path, dpi=110)
    plt.close(figure)
