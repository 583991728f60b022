"""The picture of step 2: the photograph, its colours as a cloud, and the times."""

import matplotlib

matplotlib.use("Agg")  # without a display
import matplotlib.pyplot as plt
import numpy as np


def colour_cloud(axes, histogram):
    bins = histogram.shape[0]
    where = np.argwhere(histogram)
    counts = histogram[tuple(where.T)]
    colours = (where + 0.5) / bins
    axes.scatter(*colours.T, s=4 + 260 * np.sqrt(counts / counts.max()), c=colours, alpha=0.85, linewidths=0)
    axes.set(xlabel="red", ylabel="green", zlabel="blue", xlim=(0, 1), ylim=(0, 1), zlim=(0, 1))
    axes.set_title(f"{len(where):,} of {bins**3:,} bins: one shared array")
    axes.view_init(elev=18, azim=-60)


def bars(axes, names, seconds, wrong):
    places = np.arange(len(names))[::-1]
    drawn = axes.barh(places, seconds * 1e3, color=["0.6", "tab:green", "tab:blue", "tab:red"])
    labels = [f"{s * 1e3:.0f} ms" + (f"\n{errors:,} wrong" if errors else "") for s, errors in zip(seconds, wrong)]
    axes.bar_label(drawn, labels, padding=4)
    axes.set_yticks(places, [name.replace(", ", "\n") for name in names])
    axes.set_title("time, median")
    axes.margins(x=0.2)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_xticks([])


def save(path, image, histogram, names, seconds, wrong):
    figure = plt.figure(figsize=(15, 5.2), layout="constrained")
    left, middle, right = figure.add_gridspec(1, 3, width_ratios=[1, 1.35, 1.1])
    photograph = figure.add_subplot(left)
    photograph.imshow(image)
    photograph.set_axis_off()
    photograph.set_title("grace_hopper.jpg")
    colour_cloud(figure.add_subplot(middle, projection="3d"), histogram)
    bars(figure.add_subplot(right), names, seconds, wrong)
    figure.savefig(path, dpi=110)
    plt.close(figure)
