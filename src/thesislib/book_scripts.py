"""The scripts of a page: MathJax and Plotly, served by the book itself, each only where it is needed."""

import html
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

# Both come from installed packages, so that a built book reads the same without a network.
SCRIPTS = {
    "plotly.min.js": ("plotly", "package_data/plotly.min.js"),
    "mathjax.js": ("mathjax", "static/mathjax/es5/tex-svg.js"),  # one file: glyphs as outlines, no fonts
}


# In the pages, a point whose customdata is the address of a picture shows it above itself. The picture is the
# background of a box, because an image that waits for its source would count as broken.
SHOW_PICTURE = """
const plot = document.getElementById("{plot_id}");
const box = document.createElement("div");
box.className = "hovered-picture";
plot.style.position = "relative";
plot.appendChild(box);
plot.on("plotly_hover", ({points: [point]}) => {
  if (!String(point.customdata).startsWith("data:image")) return;
  box.style.backgroundImage = `url("${point.customdata}")`;
  box.style.left = `${(point.bbox.x0 + point.bbox.x1) / 2}px`;
  box.style.top = `${point.bbox.y0}px`;
  box.style.display = "block";
});
plot.on("plotly_unhover", () => { box.style.display = "none"; });
"""


def copy_scripts(folder: Path) -> None:
    """Copy the scripts from the installed packages into a folder of the book."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (package, path) in SCRIPTS.items():
        with resources.as_file(resources.files(package) / path) as source:
            if not (folder / name).exists() or (folder / name).stat().st_size != source.stat().st_size:
                shutil.copyfile(source, folder / name)


def interactive(figure: Any, alt: str) -> None:
    """Display a Plotly figure, in JupyterLab and in the book; ``alt`` says in words what it shows.

    In the book, a point whose ``customdata`` is the address of a picture ("data:image...") shows it on hovering.
    """
    from IPython.display import display

    drawing = figure.to_html(full_html=False, include_plotlyjs=False, post_script=SHOW_PICTURE)
    bundle = {
        "text/html": f'<div role="img" aria-label="{html.escape(alt, quote=True)}">{drawing}</div>',
        "application/vnd.plotly.v1+json": figure.to_plotly_json(),
        "text/plain": alt,
    }
    display(bundle, raw=True)


def _choose(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    # Jupyter Book gives every page the scripts of Thebe (live cells), one of them twice, which is an error.
    scripts = context["script_files"]
    scripts[:] = [s for s in scripts if "thebe" not in f"{s.filename} {s.attributes.get('body', '')}".lower()]
    if "plotly-graph-div" in context.get("body", ""):
        app.add_js_file("vendor/plotly.min.js")


def setup(app: Any) -> dict[str, bool]:
    """Give each page the scripts it needs and no others (a Sphinx extension, named in _config.yml)."""
    app.connect("html-page-context", _choose)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
