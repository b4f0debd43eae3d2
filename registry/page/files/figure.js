// The map of a version as it is shown: a sentence and a bar above, what the colours mean below.

import { h, put } from "./dom.js";
import { whole } from "./anatomy.js";
import { legend } from "./legend.js";
import { map, strip, summary } from "./map.js";
import { called } from "./parts.js";
import { save } from "./picture.js";
import { bytes, many, percent } from "./words.js";

/**
 * figure of a map's data; here is the repository that need not be named, tags are those of
 * the version, beside may be a control.
 */
export function figure(anatomy, here, tags, beside) {
	const tell = (source) => called(source, here);
	const sum = whole(anatomy.layers);
	const title = called({ repo: anatomy.repo, digest: anatomy.digest, tags: tags ?? [] }, "");
	const keep = async (e) => {
		await save(e.target.closest(".map-section"), title, title);
		put(e.target, "Saved");
	};
	return h("section", { class: "map-section", "aria-label": "Map of layers" },
		h("div", { class: "bar" }, h("p", { class: "big" }, sentence(sum, anatomy, tell)), beside),
		h("div", { class: "strip tall", role: "img", "aria-label": summary(anatomy) }, ...strip(sum).childNodes),
		map(anatomy, tell),
		legend(anatomy, sum, here, keep),
		anatomy.layers_more ? h("p", { class: "soft" }, `${many(anatomy.layers_more, "tensor")} more are not drawn.`) : null);
}

function sentence(sum, anatomy, tell) {
	const shared = sum.from.reduce((a, b) => a + b, 0);
	const [first] = anatomy.sources;
	if (!first || shared + sum.changed === 0) return ["No other version here is like it: ", h("b", {}, bytes(sum.bytes)), " of its own."];
	const others = sum.from.filter((n, i) => i > 0 && n > 0).length;
	if (shared === sum.bytes) return ["All of it is ", others ? "in other versions" : ["in ", h("b", {}, tell(first))], " already."];
	return [h("b", {}, percent(shared, sum.bytes)), " is in ", h("b", {}, tell(first)), others ? ` and ${many(others, "other")}` : "", " already",
		sum.changed ? [", ", h("b", {}, bytes(sum.changed)), " changed"] : "", sum.fresh ? [", ", h("b", {}, bytes(sum.fresh)), " new"] : "", "."];
}
