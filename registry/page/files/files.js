// The files of a version, and the tensors in them.

import { h, put } from "./dom.js";
import { get } from "./api.js";
import * as places from "./places.js";
import { bytes, count, many } from "./words.js";

const most = 400; // tensors that are drawn at once

/** files reads and draws them, and the annotations of the version. */
export async function files(name, id) {
	const view = await get(`${places.repo(name)}/versions/${id}`);
	const field = h("input", { type: "search", placeholder: "Filter files and tensors", "aria-label": "Filter files and tensors", spellcheck: "false", autocomplete: "off", oninput: () => draw() });
	const body = h("div");
	const notes = Object.entries(view.annotations);
	function draw() {
		const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
		const fits = (text) => words.every((w) => text.toLowerCase().includes(w));
		put(body, view.files.map((f) => {
			const hits = fits(f.path) ? f.tensors : f.tensors.filter((t) => fits(t.name));
			if (hits.length === 0 && !fits(f.path)) return null;
			return file(f, hits, words.length > 0);
		}));
	}
	draw();
	const sums = h("button", { onclick: async () => { sums.disabled = true; put(sums, "Reading …"); await hashes(name, id, body).then(() => sums.remove(), (e) => put(sums, e.message)); } }, "Show sha256");
	return h("div", { class: "files" },
		notes.length ? h("details", { class: "notes", open: notes.length <= 8 }, h("summary", {}, many(notes.length, "annotation")), h("dl", {}, notes.map(([key, v]) => [h("dt", {}, key), h("dd", {}, v)]))) : null,
		h("div", { class: "bar" }, field, sums), body);
}

function file(f, tensors, open) {
	const body = h("div");
	const fill = () => { if (!body.hasChildNodes()) put(body, table(tensors)); };
	const line = [h("code", {}, f.path), h("span", { class: "soft" }, [f.format, f.tensors.length ? many(f.tensors.length, "tensor") : null, many(f.chunks, "chunk")].filter(Boolean).join(" · ")), h("span", { class: "n" }, bytes(f.size))];
	if (f.tensors.length === 0) return h("div", { class: "file", "data-path": f.path }, line);
	const box = h("details", { class: "file", "data-path": f.path, ontoggle: () => { if (box.open) fill(); } }, h("summary", {}, line), body);
	if (open && tensors.length <= most) {
		box.open = true;
		fill();
	}
	return box;
}

function table(tensors) {
	return h("div", { class: "wide" }, h("table", { class: "tensors" }, h("tbody", {}, tensors.slice(0, most).map((t) => h("tr", {},
		h("td", {}, h("code", {}, t.name)), h("td", {}, t.dtype), h("td", {}, t.shape.join(" × ")), h("td", { class: "n" }, bytes(t.length)))),
	tensors.length > most ? h("tr", {}, h("td", { colspan: 4, class: "soft" }, `and ${count(tensors.length - most)} more: filter to find them`)) : null)));
}

async function hashes(name, id, body) {
	const { files: all } = await get(`${places.repo(name)}/versions/${id}/sha256`);
	const sums = new Map(all.map((f) => [f.path, f.sha256]));
	for (const box of body.querySelectorAll(".file")) {
		const sum = sums.get(box.dataset.path);
		if (sum) (box.querySelector("summary") ?? box).append(h("code", { class: "sum soft" }, `sha256 ${sum}`));
	}
}
