//! The page around the steps: its colours, its script, its policy.

use crate::export::fonts::font_faces;
use crate::export::svg::page_colours;

/// The page. All that is given is markup already.
pub(super) fn of(title: &str, about: &str, pictures: &str, steps: &str) -> String {
    let (light, dark) = page_colours();
    let colours = COLOURS.replace("LIGHT", &light).replace("DARK", &dark);
    let fonts = font_faces(&[title, about, pictures, steps, SCRIPT].concat());
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; font-src data:">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{fonts}
{colours}{STYLE}</style>
</head>
<body>
<svg class="pictures" width="0" height="0" aria-hidden="true">
{PATTERNS}
{pictures}</svg>
<header>
<h1>{title}</h1>
<p class="about">{about}</p>
<nav hidden aria-label="Steps"><button type="button" id="back" title="Left or Page Up">Back</button> <output id="place"></output> <button type="button" id="on" title="Right, Space or Page Down">On</button> <button type="button" id="all" title="A">All steps</button></nav>
</header>
<main>
{steps}</main>
<script>
{SCRIPT}</script>
</body>
</html>
"#
    )
}

/// On paper it is light whatever the screen is.
const COLOURS: &str = "\
:root{LIGHT}
@media screen and (prefers-color-scheme:dark){:root{DARK}}
";

const STYLE: &str = r#"
*{box-sizing:border-box}
body{margin:0;background:var(--background);color:var(--text);font-family:Inter,"Helvetica Neue",Arial,sans-serif;line-height:1.5}
.pictures{position:absolute}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:.25rem 1.25rem;padding:1rem 2rem;background:var(--panel);border-bottom:1px solid var(--edge)}
h1{font-size:1.35rem;margin:0}
.about{color:var(--dim);margin:0;font-size:.85rem;flex:1 1 20rem}
nav{display:flex;gap:.5rem;align-items:baseline}
nav[hidden]{display:none}
button{font:inherit;color:inherit;background:var(--background);border:1px solid var(--edge);border-radius:6px;padding:.2rem .8rem;cursor:pointer}
button:disabled{opacity:.45;cursor:default}
main{max-width:1600px;margin:0 auto;padding:1rem 2rem 3rem}
.step{padding:1rem 0 2rem;border-bottom:1px solid var(--edge)}
h2{font-size:1rem;font-weight:600;margin:0 0 .75rem;display:flex;gap:1rem;align-items:baseline}
h2 code,.changes{font-family:"JetBrains Mono",Menlo,Consolas,monospace}
h2 code{font-weight:400;overflow-wrap:anywhere}
.number{font-size:1.25rem}
.of{color:var(--dim);font-size:.85rem;font-weight:400}
.picture{display:block;width:100%;height:auto;border:1px solid var(--edge);border-radius:8px}
.words{display:flex;flex-wrap:wrap;gap:1rem 3rem;margin-top:1rem}
.caption{flex:2 1 30rem;font-size:1.3rem;max-width:62rem}
.caption p{margin:0 0 .7em}
.changes{flex:1 1 22rem;font-size:.85rem;color:var(--dim)}
.changes summary{font-family:Inter,"Helvetica Neue",Arial,sans-serif;font-weight:600;color:var(--text);cursor:pointer}
.changes ul{list-style:none;margin:.4rem 0;padding:0}
.changes li{overflow-wrap:anywhere;border-left:3px solid var(--edge);padding-left:.6rem;margin:.15rem 0}
.changes .added{border-color:var(--level0)}
.changes .changed{border-color:var(--counter)}
.changes .removed{border-color:var(--alarm)}
@media screen{.one .step{display:none;border:0}.one .step.shown{display:block}
.one .picture{max-height:calc(100vh - 21rem);min-height:20rem}}
@media print{header{border:0;padding:0}nav,nav[hidden]{display:none}main{padding:0}.step{break-inside:avoid;border:0;padding:.5rem 0 1.5rem}.caption{font-size:1rem}}
"#;

const PATTERNS: &str = r#"<defs><pattern id="nothing" width="6" height="6" patternUnits="userSpaceOnUse"><rect width="6" height="6" fill="var(--background)"/><circle cx="2" cy="2" r="0.8" fill="var(--edge)"/></pattern><pattern id="guard" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="7" height="7" fill="var(--background)"/><rect width="2.4" height="7" fill="var(--alarm)"/></pattern></defs>"#;

const SCRIPT: &str = r##""use strict";
(() => {
  const steps = [...document.querySelectorAll(".step")];
  const at = (id) => document.getElementById(id);
  let shown = 0;
  const show = (place) => {
    shown = Math.max(0, Math.min(steps.length - 1, place));
    steps.forEach((step, number) => step.classList.toggle("shown", number === shown));
    at("place").textContent = `${shown + 1} of ${steps.length}`;
    at("back").disabled = shown === 0;
    at("on").disabled = shown === steps.length - 1;
    history.replaceState(null, "", "#" + steps[shown].id);
    if (document.body.classList.contains("one")) scrollTo(0, 0);
    else steps[shown].scrollIntoView();
  };
  const all = () => {
    const one = document.body.classList.toggle("one");
    at("all").textContent = one ? "All steps" : "One by one";
    show(shown);
  };
  if (steps.length === 0) return;
  const keys = {
    ArrowRight: () => show(shown + 1), PageDown: () => show(shown + 1), " ": () => show(shown + 1),
    ArrowLeft: () => show(shown - 1), PageUp: () => show(shown - 1),
    Home: () => show(0), End: () => show(steps.length - 1), a: all, A: all,
  };
  addEventListener("keydown", (event) => {
    const does = keys[event.key];
    const typed = event.target.closest && event.target.closest("button, summary");
    if (!does || event.ctrlKey || event.altKey || event.metaKey || (typed && event.key === " ")) return;
    event.preventDefault();
    does();
  });
  at("back").addEventListener("click", () => show(shown - 1));
  at("on").addEventListener("click", () => show(shown + 1));
  at("all").addEventListener("click", all);
  const named = () => Math.max(0, steps.findIndex((step) => "#" + step.id === location.hash));
  addEventListener("hashchange", () => show(named()));
  document.querySelector("nav").hidden = false;
  document.body.classList.add("one");
  show(named());
  // A browser goes to what the address names once more when all is there.
  addEventListener("load", () => show(shown));
})();
"##;
