// How one version differs from another.

import { h } from "../dom.js";
import { get } from "../api.js";
import { figure } from "../figure.js";
import * as places from "../places.js";
import { bytes, count, many, percent, short, split } from "../words.js";

export async function diff({ query, go }) {
	const a = query.get("a") ?? "";
	const b = query.get("b") ?? "";
	if (!a || !b) return h("div", { class: "diff" }, h("h1", {}, "Compare"), form(a, b, go));
	const d = await get(`v1/diff?a=${encodeURIComponent(a)}&b=${encodeURIComponent(b)}`);
	const all = d.bytes_shared + d.bytes_new;
	const left = split(a);
	const right = split(b);
	const against = `${left.repo}@${d.a}`;
	const anatomy = d.a === d.b ? null : await get(`${places.repo(right.repo)}/versions/${d.b}/map?against=${encodeURIComponent(against)}`).catch(() => null);
	const same = d.a === d.b || d.bytes_new === 0 && d.files.removed.length + d.files.added.length + d.files.changed.length === 0;
	return h("div", { class: "diff" },
		h("h1", {}, "Compare"),
		form(a, b, go),
		same ? h("p", { class: "big" }, "They are the same, byte for byte.")
			: h("p", {}, h("b", {}, bytes(d.bytes_new)), " of ", h("b", {}, bytes(all)), " are not in ", h("a", { href: places.version(left.repo, d.a) }, ref(left, d.a)), ` already, ${percent(d.bytes_new, all)}: ${many(d.chunks_new, "chunk")}.`),
		anatomy?.layers.length ? figure(anatomy, left.repo, right.tag ? [right.tag] : []) : null,
		changes("Files", d.files, (f) => [h("td", {}, h("code", {}, f.path)), h("td", { class: "n" }, bytes(f.size))], (f) => f.path),
		changes("Tensors", d.tensors, (t) => [h("td", {}, h("code", {}, t.name)), h("td", {}, t.dtype), h("td", {}, t.shape.join(" × ")), h("td", { class: "n" }, bytes(t.bytes))], (t) => t.name));
}

const ref = (part, digest) => `${part.repo}${part.tag ? `:${part.tag}` : `@${short(digest)}`}`;

function form(a, b, go) {
	const from = h("input", { name: "a", value: a, "aria-label": "From", placeholder: "acme/llama:base", required: true, spellcheck: "false", autocomplete: "off" });
	const to = h("input", { name: "b", value: b, "aria-label": "To", placeholder: "acme/llama:tuned", required: true, spellcheck: "false", autocomplete: "off" });
	const swap = h("button", { type: "button", class: "plain", title: "Swap", "aria-label": "Swap", onclick: () => { [from.value, to.value] = [to.value, from.value]; } }, "⇄");
	return h("form", { class: "refs", onsubmit: (e) => { e.preventDefault(); go(places.diff(from.value.trim(), to.value.trim())); } },
		from, swap, to, h("button", { class: "button" }, "Compare"));
}

const most = 500; // rows of a kind

function changes(title, d, cells, key) {
	const kinds = [["added", "+", "added"], ["removed", "−", "removed"], ["changed", "~", "changed"]];
	const rows = kinds.flatMap(([kind, sign, word]) => {
		const all = [...d[kind]].sort((x, y) => key(x).localeCompare(key(y), "en", { numeric: true }));
		return [
			...all.slice(0, most).map((x) => h("tr", { class: kind }, h("td", { class: "sign", title: word }, sign), cells(x))),
			all.length > most ? h("tr", { class: kind }, h("td", { class: "sign" }, sign), h("td", { colspan: 4, class: "soft" }, `and ${count(all.length - most)} more ${word}`)) : null,
		];
	});
	const said = kinds.filter(([kind]) => d[kind].length > 0).map(([kind, , word]) => `${count(d[kind].length)} ${word}`);
	return h("section", {},
		h("h2", {}, title, h("small", { class: "soft" }, [...said, `${count(d.same)} the same`].join(", "))),
		rows.length > 0 ? h("div", { class: "wide" }, h("table", { class: "changes" }, h("tbody", {}, rows))) : null);
}
