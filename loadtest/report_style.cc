// Style and script of the page.
#include "loadtest/report_style.h"

namespace tailrace::loadtest {
namespace {

constexpr std::string_view kStyle = R"css(
:root{color-scheme:light;--ground:#f4f5f7;--card:#fff;--ink:#1b1f24;--soft:#57606a;--edge:#d8dee4;--grid:#e6eaee;
--c1:#0072b2;--c2:#d55e00;--c3:#8e4585;--c4:#00795a;--good:#00694d;--bad:#b3360a;--warn:#8a5a00;--voided:#8b949e;
--h1:#d9e8f5;--h2:#a9cde8;--h3:#6baed6;--h4:#3182bd;--h5:#08519c;--h6:#062f5e;--band:#d55e0024}
@media screen and (prefers-color-scheme:dark){:root{color-scheme:dark;--ground:#0e1116;--card:#161b22;--ink:#e6edf3;
--soft:#9aa5b1;--edge:#30363d;--grid:#252c35;--c1:#56b4e9;--c2:#f58a3c;--c3:#d99ad0;--c4:#2fc096;--good:#2fc096;
--bad:#ff8a5c;--warn:#e6b450;--voided:#6e7681;--h1:#12324d;--h2:#14507c;--h3:#1f78b4;--h4:#4ea3d8;--h5:#9ccdf0;
--h6:#e8f5ff;--band:#f58a3c2e}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"DejaVu Sans",sans-serif;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
main{max-width:1040px;margin:0 auto;padding:20px}
header p,footer{color:var(--soft)}
h1{font-size:22px;line-height:1.25;margin:6px 0}
h2{font-size:18px;margin:0 0 10px}
h3{font-size:15px;margin:0}
section{background:var(--card);border:1px solid var(--edge);border-radius:8px;padding:20px;margin:16px 0}
figure{margin:0 0 8px}
figure+figure,.scroll+figure,.note+figure,ul+figure{margin-top:22px}
figcaption p,.note{color:var(--soft);margin:2px 0 8px;max-width:76ch}
.verdict{border-left:6px solid var(--good)}
.verdict.failed,.verdict.invalid{border-left-color:var(--bad)}
.verdict.interrupted,.verdict.lossy{border-left-color:var(--warn)}
.word{display:inline-block;font-weight:700;letter-spacing:.04em;color:var(--good)}
.failed .word,.invalid .word{color:var(--bad)}
.interrupted .word,.lossy .word{color:var(--warn)}
.sentence{font-size:18px;line-height:1.4;margin:4px 0 12px}
.reasons{margin:0 0 12px;padding-left:20px}
dl.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(136px,1fr));gap:14px 18px;margin:0}
dl.figures dt{color:var(--soft);font-size:13px}
dl.figures dd{margin:0;font-size:19px;font-weight:600;overflow-wrap:normal}
ul.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;margin:4px 0 6px;padding:0;font-size:13px}
ul.legend li{display:flex;align-items:center;gap:6px}
ul.legend svg{width:26px;height:12px;flex:none}
svg{display:block;width:100%;height:auto}
svg.narrow{display:none;max-width:520px;margin:0 auto}
svg text{font-size:12px;fill:var(--soft)}
svg text.label{fill:var(--ink);font-weight:600;paint-order:stroke;stroke:var(--card);stroke-width:3px}
.grid,.axis,.lane,.hatch,.cross,.line{fill:none;vector-effect:non-scaling-stroke}
.grid{stroke:var(--grid)}
.axis{stroke:var(--soft)}
.lane{stroke:var(--soft);stroke-dasharray:2 4}
.hatch{stroke:var(--voided);stroke-width:1}
.cross{stroke:var(--soft);stroke-dasharray:3 3}
.inflection{fill:var(--band)}
.line{stroke-width:1.8;stroke-linejoin:round}
.line.c1{stroke:var(--c1)}
.line.c2{stroke:var(--c2);stroke-width:2.4}
.line.c3{stroke:var(--c3);stroke-dasharray:6 3}
.line.c4{stroke:var(--c4);stroke-dasharray:2 3}
.mark.c1,.bar.c1,.arrow.c1{fill:var(--c1)}
.mark.c2,.bar.c2,.arrow.c2{fill:var(--c2)}
.mark.c3,.bar.c3,.arrow.c3{fill:var(--c3)}
.mark.c4,.bar.c4,.arrow.c4{fill:var(--c4)}
.bar,.h1,.h2,.h3,.h4,.h5,.h6{shape-rendering:crispEdges}
.hollow{stroke-width:1.6}
.hollow.c1{fill:var(--card);stroke:var(--c1)}
.hollow.c2{fill:var(--card);stroke:var(--c2)}
.hollow.c3{fill:var(--card);stroke:var(--c3)}
.hollow.c4{fill:var(--card);stroke:var(--c4)}
.h1{fill:var(--h1)}.h2{fill:var(--h2)}.h3{fill:var(--h3)}.h4{fill:var(--h4)}.h5{fill:var(--h5)}.h6{fill:var(--h6)}
.scroll{overflow-x:auto}
.scroll:focus-visible,summary:focus-visible{outline:2px solid var(--c1);outline-offset:2px}
table{border-collapse:collapse;font-size:13px;overflow-wrap:normal}
caption{text-align:left;color:var(--soft);padding:4px 0}
th,td{padding:4px 8px;text-align:right;border-bottom:1px solid var(--grid);white-space:nowrap}
th:first-child{text-align:left;padding-left:0}
.wide-last td:last-child,.wide-last th:last-child{white-space:normal;min-width:7em;text-align:left}
.scroll+.note,dl+.note,table+.note{margin-top:8px}
pre span{display:inline-block;max-width:100%}
tbody th{font-weight:500}
table.text td,table.text th{text-align:left;white-space:normal;vertical-align:top}
table.text th{white-space:nowrap;color:var(--soft);font-weight:500}
tr.voided>*{color:var(--soft);font-style:italic}
details{margin:4px 0}
summary{cursor:pointer;color:var(--soft);font-size:13px;padding:4px 0}
pre{overflow-x:auto;background:var(--ground);border:1px solid var(--edge);border-radius:6px;padding:10px;
font:13px/1.45 ui-monospace,"DejaVu Sans Mono",monospace;white-space:pre-wrap;margin:8px 0}
.readout{min-height:1.5em;margin:0;font-size:13px;color:var(--soft)}
@media (max-width:700px){main{padding:10px}section{padding:14px 12px}svg.wide{display:none}svg.narrow{display:block}
ul.legend svg{display:block}h1{font-size:19px}.sentence{font-size:16px}dl.figures{grid-template-columns:1fr 1fr}
table{font-size:12px}th,td{padding:4px 5px}
.scroll.many::before{content:"more columns: scroll sideways \2192";display:block;position:sticky;left:0;color:var(--soft);
font-size:12px}.wide-last td:last-child:not(:empty){min-width:15em}}
@media print{.scroll.many::before{display:none}body{background:#fff;font-size:11pt}main{max-width:none;padding:0}section{border:0;padding:8px 0}
.verdict{border-left:6px solid var(--good);padding-left:12px}.scroll{overflow:visible}table{font-size:8.5pt}
th,td{padding:2px 5px}h2,h3{break-after:avoid}figure{break-inside:avoid}summary,.readout{display:none}svg.wide{display:block}svg.narrow{display:none}}
)css";

// Shows the row of the data table that belongs to the place under the pointer.
constexpr std::string_view kScript = R"js(
for (const figure of document.querySelectorAll("figure")) {
  const charts = [...figure.querySelectorAll("svg[data-x]")];
  const table = figure.querySelector("table");
  if (!charts.length || !table) continue;
  const head = [...table.tHead.rows[0].cells].map(cell => cell.textContent);
  const readout = document.createElement("p");
  readout.className = "readout";
  figure.querySelector("details").before(readout);
  const show = (index) => {
    const row = table.tBodies[0].rows[index];
    if (!row) return;
    readout.textContent = [...row.cells].map((cell, i) => cell.textContent && head[i] + " " + cell.textContent)
        .filter(text => text).join(" \u00b7 ");
    for (const chart of charts) {
      const cross = chart.querySelector(".cross");
      cross.setAttribute("transform", "translate(" + chart.dataset.x.split(",")[index] + ",0)");
      cross.setAttribute("visibility", "visible");
    }
  };
  for (const chart of charts) {
    const places = chart.dataset.x.split(",").map(Number);
    chart.addEventListener("pointermove", (event) => {
      const box = chart.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * chart.viewBox.baseVal.width;
      let nearest = 0;
      places.forEach((place, i) => {
        if (Math.abs(place - x) < Math.abs(places[nearest] - x)) nearest = i;
      });
      show(nearest);
    });
    chart.addEventListener("pointerleave", () => {
      readout.textContent = "";
      for (const each of charts) each.querySelector(".cross").setAttribute("visibility", "hidden");
    });
  }
}
)js";

}  // namespace

std::string_view report_style() { return kStyle; }
std::string_view report_script() { return kScript; }

}  // namespace tailrace::loadtest
