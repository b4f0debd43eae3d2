// What the colours of the map mean.

import { h } from "./dom.js";
import * as places from "./places.js";
import { degrees, unknown } from "./anatomy.js";
import { called } from "./parts.js";
import { bytes, percent } from "./words.js";

const why = { asked: "chosen", parent: "its parent", before: "the one before it", kin: "like it" };

/** legend explains the map of a version; pointing at a version shows what is shared with it alone. */
export function legend(anatomy, sum, here, keep) {
	const sources = anatomy.sources.map((source, i) => ({ source, i, n: sum.from[i] ?? 0 })).filter(({ n }) => n > 0);
	const only = (kind) => (e) => {
		const map = e.currentTarget.closest(".map-section")?.querySelector(".map");
		if (kind) map?.setAttribute("data-only", kind);
		else map?.removeAttribute("data-only");
	};
	const item = (kind, ...children) => h("li", { onpointerenter: only(kind), onpointerleave: only(null), onfocusin: only(kind), onfocusout: only(null) }, children);
	return h("div", { class: "legend" },
		sources.length ? h("div", {}, h("h3", {}, "Shared with"), h("ul", { class: "sources" }, sources.map(({ source, i, n }) => item(`v${i}`,
			h("i", { class: `swatch v${i}` }), h("a", { href: places.version(source.repo, source.tags?.[0] ?? source.digest) }, called(source, here)),
			h("span", { class: "soft" }, why[source.why] ?? ""), h("span", { class: "n" }, h("b", {}, percent(n, sum.bytes)), ` ${bytes(n)}`))))) : null,
		h("div", {}, sum.changed > 0 ? [h("h3", {}, "Changed: values that differ"),
			h("ol", { class: "scale" }, degrees.map((top, i) => h("li", {}, h("i", { class: `swatch heat${i}` }), top === Infinity ? "more" : `< ${top * 100} %`)))] : null,
		h("ul", { class: "sources" },
			sum.heats[unknown] > 0 ? item(`heat${unknown}`, h("i", { class: `swatch heat${unknown}` }), "stored whole, not compared", h("span", { class: "n" }, h("b", {}, percent(sum.heats[unknown], sum.bytes)), ` ${bytes(sum.heats[unknown])}`)) : null,
			sum.fresh > 0 ? item("new", h("i", { class: "swatch new" }), "new, in none of them", h("span", { class: "n" }, h("b", {}, percent(sum.fresh, sum.bytes)), ` ${bytes(sum.fresh)}`)) : null)),
		h("button", { class: "plain keep", onclick: keep }, "Save picture"));
}
