// A version: the map of its layers, its files and tensors, and how it is stored.

import { h, put } from "../dom.js";
import { Failure, get } from "../api.js";
import * as places from "../places.js";
import { figure } from "../figure.js";
import { files } from "../files.js";
import { table } from "../map.js";
import { called, command, crumbs, digest, tag } from "../parts.js";
import { stored } from "../stored.js";
import { ago, bytes, figure as number, many, moment, short } from "../words.js";

const isDigest = (rev) => /^[0-9a-f]{64}$/.test(rev);

export async function version({ name, rev, query, go }) {
	const repo = places.repo(name);
	const against = query.getAll("against");
	const mapOf = (d) => get(`${repo}/versions/${d}/map${against.length ? `?${against.map((a) => `against=${encodeURIComponent(a)}`).join("&")}` : ""}`);
	const drawn = isDigest(rev) ? mapOf(rev) : null;
	drawn?.catch(() => null); // told below
	const model = await get(`${repo}/summary?limit=100`);
	const id = isDigest(rev) ? rev : model.tags.find((t) => t.name === rev)?.digest ?? (await get(`${repo}/tags/${encodeURIComponent(rev)}`)).digest;
	const anatomy = await (drawn ?? mapOf(id));
	const entry = model.versions.find((v) => v.digest === id);
	const tags = model.tags.filter((t) => t.digest === id).map((t) => t.name);
	return h("div", { class: "of-version" },
		crumbs(name), head(rev, id, entry, tags),
		facts(name, anatomy, entry),
		command(`ingot pull ${name}${tags.length ? `:${isDigest(rev) ? tags[0] : rev}` : `@${id}`}`),
		picture(name, rev, model, anatomy, tags, against, go),
		panels(name, id, anatomy));
}

function head(rev, id, entry, tags) {
	const title = !isDigest(rev) ? rev : entry?.step !== undefined ? `step ${entry.step}` : tags[0] ?? short(id);
	return h("div", { class: "bar" }, h("h1", {}, title), tags.filter((t) => t !== title).slice(0, 6).map((t) => tag(t)), digest(id));
}

function facts(name, anatomy, entry) {
	const parent = entry?.parent;
	const list = [
		bytes(anatomy.bytes), many(anatomy.tensors, "tensor"),
		entry ? h("span", { title: moment(entry.at) }, `pushed ${ago(entry.at)} by ${entry.by}`) : null,
		entry?.loss !== undefined ? `loss ${number(entry.loss)}` : null,
		entry?.run !== undefined ? `run ${entry.run}` : null,
		parent ? ["made from ", h("a", { href: places.version(name, parent) }, h("code", {}, short(parent)))] : null,
	].filter(Boolean);
	return h("p", { class: "soft facts-line" }, list.map((f, i) => [i ? " · " : "", f]));
}

/** picture is the map, with a choice of what the version is compared with. */
function picture(name, rev, model, anatomy, tags, against, go) {
	return figure(anatomy, name, tags, beside(name, rev, model, anatomy, against, go));
}

/** beside lets one choose what the version is compared with. */
function beside(name, rev, model, anatomy, against, go) {
	const options = new Map(); // reference → what it is called
	for (const s of anatomy.sources) options.set(s.ref, called(s, name));
	for (const t of model.tags) if (t.digest !== anatomy.digest && ![...options.keys()].some((ref) => ref.endsWith(t.digest))) options.set(`${name}:${t.name}`, t.name);
	if (options.size === 0) return null;
	const chosen = against[0] ?? "";
	if (chosen && !options.has(chosen)) options.set(chosen, chosen);
	return h("label", { class: "soft beside" }, "beside ", h("select", {
		"aria-label": "Compared with", onchange: (e) => go(places.version(name, rev, e.target.value)),
	}, h("option", { value: "", selected: chosen === "" }, "what is likest"),
	[...options].map(([ref, text]) => h("option", { value: ref, selected: ref === chosen }, text))));
}

/** panels are what is read when it is asked for. */
function panels(name, id, anatomy) {
	const body = h("div", { class: "panel", role: "tabpanel" });
	const all = [
		["layers", "Layers", async () => h("div", { class: "wide" }, table(anatomy))],
		["files", "Files and tensors", () => files(name, id)],
		["stored", "How it is stored", () => stored(name, id, anatomy)],
	];
	const buttons = all.map(([key, text, read], i) => h("button", {
		role: "tab", "data-panel": key, "aria-selected": "false", onclick: () => open(i, read),
	}, text));
	async function open(i, read) {
		buttons.forEach((b, j) => b.setAttribute("aria-selected", String(i === j)));
		put(body, h("p", { class: "waiting" }, "Reading …"));
		let drawn;
		try {
			drawn = await read();
		} catch (e) {
			if (!(e instanceof Failure)) throw e;
			drawn = h("p", { class: "bad" }, e.message);
		}
		if (buttons[i].getAttribute("aria-selected") === "true") {
			put(body, drawn);
			body.dataset.panel = all[i][0];
		}
	}
	open(0, all[0][2]);
	return h("section", {}, h("div", { class: "tabs", role: "tablist" }, buttons), body);
}
