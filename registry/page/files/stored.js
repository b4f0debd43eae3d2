// How a version is stored: what stands alone, and what is a difference to what.

import { h } from "./dom.js";
import { get } from "./api.js";
import * as places from "./places.js";
import { ago, bytes, many, moment, percent } from "./words.js";

/** stored reads and draws the encodings of a version, and who has signed it. */
export async function stored(name, id, anatomy) {
	const base = `${places.repo(name)}/versions/${id}`;
	const [e, signed] = await Promise.all([get(`${base}/encodings`), get(`${base}/signatures`).catch(() => null)]);
	const own = e.whole.bytes + e.middle.bytes + e.step.bytes;
	const part = (kind, n) => n > 0 ? h("i", { class: kind, style: { "flex-grow": String(n / (e.bytes_plain || 1)) } }) : null;
	const row = (kind, total, text) => total.chunks > 0 ? h("tr", {}, h("th", { scope: "row" }, kind ? h("i", { class: `swatch ${kind}` }) : null, text), h("td", { class: "n" }, many(total.chunks, "chunk")), h("td", { class: "n" }, bytes(total.bytes))) : null;
	return h("div", { class: "stored" },
		h("p", { class: "big" }, h("b", {}, bytes(own)), " for ", h("b", {}, bytes(anatomy.bytes)), ` of files, ${percent(own, anatomy.bytes)}`),
		h("div", { class: "strip tall", role: "img", "aria-label": `${percent(own, e.bytes_plain)} of the distinct bytes` },
			part("stored", e.whole.bytes), part("delta", e.middle.bytes), part("compression", e.step.bytes), part("free", Math.max(0, e.bytes_plain - own))),
		h("table", {}, h("tbody", {},
			row("stored", e.whole, "stored alone"), row("delta", e.middle, "differences to a chunk that stands alone"), row("compression", e.step, "differences to a difference"),
			row("", e.anchors, "whole chunks that these are decoded with"), row("", e.middles, "differences that these are decoded with"),
			row("", e.shared, "of all these, what the parent needs too"), row("", e.added, "what this version added"))),
		signed ? signatures(signed) : null);
}

function signatures(answer) {
	const list = answer.signatures ?? [];
	return h("section", {}, h("h2", {}, "Signatures"), list.length === 0 ? h("p", { class: "soft" }, "Nobody has signed it.")
		: h("ul", {}, list.map((s) => h("li", {}, h("code", {}, s.key || "a key without a name"), " ", h("span", { class: "soft", title: moment(s.created) }, `brought by ${s.by} ${ago(s.created)}`)))));
}
