// Draws the map of a model's layers: every cell is what a layer has of one role, its
// colour the version that has the same bytes, or how much has changed.

import { h, put, s, sized } from "./dom.js";
import { heat, sections, unknown, whole } from "./anatomy.js";
import { plan } from "./plan.js";
import { bytes, count, many, percent } from "./words.js";

/**
 * map returns an element with the picture of a version, and what is under the cursor
 * below it. tell gives a source its name.
 */
export function map(version, tell) {
	const tensors = version.layers.filter((l) => l.kind !== "file");
	const runs = sections(tensors.length > 0 ? tensors : version.layers);
	const picture = h("div", { class: "picture" });
	const detail = h("div", { class: "detail", role: "status", "aria-live": "polite" });
	const box = h("figure", { class: "map" }, picture, detail);
	const view = { at: -1, pinned: false };
	const say = (cell) => put(detail, cell ? about(cell, version.sources, tell) : hint());
	say(null);
	sized(picture, (width) => {
		const upright = width < 620;
		const made = plan(runs, width, upright);
		box.classList.toggle("upright", upright);
		put(picture, draw(made, version, view, say, upright));
	});
	return box;
}

const hint = () => h("p", { class: "soft" }, "Point at a cell, or walk over them with the arrow keys.");

function draw(made, version, view, say, upright) {
	const cursor = s("rect", { class: "cursor", rx: 2, width: 0, height: 0 });
	const edge = s("rect", { class: "cursor edge", rx: 3, width: 0, height: 0 }); // sets it off from any colour
	const svg = s("svg", {
		width: made.width, height: made.height, viewBox: `0 0 ${made.width} ${made.height}`, tabindex: 0, role: "img",
		"aria-label": `Map of ${many(version.layers.length, "layer")}: ${summary(version)}. Arrow keys walk over it; a table follows.`,
	},
	s("defs", {}, s("pattern", { id: "hatch", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
		s("rect", { class: "hatch-ground", width: 5, height: 5 }), s("rect", { class: "hatch-line", width: 2, height: 5 })),
	made.boxes.map((b, i) => s("clipPath", { id: `section${i}` }, s("rect", { x: b.x, y: b.y, width: b.w, height: b.h, rx: Math.min(6, b.w / 3, b.h / 3) })))),
	made.boxes.map((_, i) => s("g", { "clip-path": `url(#section${i})` }, made.cells.filter((c) => c.section === i).map((cell) => bands(cell, upright).map((b) => s("rect", b))))),
	made.labels.map((l) => s("text", { x: l.x, y: l.y, "text-anchor": l.anchor, "dominant-baseline": l.middle ? "central" : null }, l.text)),
	edge, cursor);
	const show = (i) => {
		view.at = i;
		const cell = made.cells[i];
		if (!cell) {
			cursor.setAttribute("width", 0);
			edge.setAttribute("width", 0);
			return say(null);
		}
		place(cursor, cell, 1);
		place(edge, cell, 3);
		return say(cell);
	};
	svg.addEventListener("pointermove", (e) => { if (!view.pinned) { const i = hit(made, svg, e); if (i >= 0 && i !== view.at) show(i); } });
	svg.addEventListener("pointerleave", () => { if (!view.pinned && document.activeElement !== svg) show(-1); });
	svg.addEventListener("click", (e) => {
		const i = hit(made, svg, e);
		view.pinned = i >= 0 && !(view.pinned && i === view.at);
		show(i);
	});
	svg.addEventListener("keydown", (e) => {
		const next = walk(made, view.at, e.key, upright);
		if (next === undefined) return;
		e.preventDefault();
		view.pinned = false;
		show(next);
	});
	if (view.at >= 0) show(view.at);
	return svg;
}

function place(rect, cell, around) {
	rect.setAttribute("x", cell.x - around);
	rect.setAttribute("y", cell.y - around);
	rect.setAttribute("width", cell.w + 2 * around);
	rect.setAttribute("height", cell.h + 2 * around);
}

/** summary is the picture in words. */
export function summary(version) {
	const sum = whole(version.layers);
	const shared = sum.from.reduce((a, b) => a + b, 0);
	return `${percent(shared, sum.bytes)} shared, ${percent(sum.changed, sum.bytes)} changed, ${percent(sum.fresh, sum.bytes)} new`;
}

/**
 * bands fill a cell from below, or from the left where the model goes down: what is shared
 * with each version, what has changed, what is new.
 */
function bands({ x, y, w, h: high, sum }, upright) {
	const parts = [...portions(sum)];
	if (parts.length === 0) return [{ class: "band none", x, y, width: w, height: high }];
	const full = upright ? w : high;
	const least = Math.min(2, full / parts.length); // something that is there is seen
	const sizes = parts.map(([, n]) => Math.max(least, n / sum.bytes * full));
	sizes[sizes.indexOf(Math.max(...sizes))] -= sizes.reduce((a, b) => a + b, 0) - full;
	let at = 0;
	return parts.map(([kind], i) => {
		const size = Math.max(0.5, sizes[i]);
		const box = upright ? { x: x + at, y, width: size, height: high } : { x, y: y + high - at - size, width: w, height: size };
		at += sizes[i];
		return { class: `band ${kind}`, ...box };
	});
}

/** portions yields [class, bytes] of what a sum consists of. */
export function* portions(sum) {
	for (const [i, n] of sum.from.entries()) if (n > 0) yield [`v${i}`, n];
	for (const [d, n] of sum.heats.entries()) if (n > 0) yield [`heat${d}`, n];
	if (sum.fresh > 0) yield ["new", sum.fresh];
}

function hit(made, svg, e) {
	const box = svg.getBoundingClientRect();
	const x = (e.clientX - box.left) * made.width / box.width;
	const y = (e.clientY - box.top) * made.height / box.height;
	return made.cells.findIndex((c) => x >= c.x - 1 && x <= c.x + c.w + 1 && y >= c.y - 1 && y <= c.y + c.h + 1);
}

/** walk is the cell that a key leads to: undefined for a key that does nothing here. */
function walk(made, at, key, upright) {
	if (upright) key = { ArrowDown: "ArrowRight", ArrowUp: "ArrowLeft", ArrowRight: "ArrowDown", ArrowLeft: "ArrowUp" }[key] ?? key;
	const along = { ArrowRight: 1, ArrowLeft: -1 }[key];
	const across = { ArrowDown: 1, ArrowUp: -1 }[key];
	if (key === "Home" || key === "End") return key === "Home" ? 0 : made.cells.length - 1;
	if (key === "Escape" && at >= 0) return -1;
	if (!along && !across) return undefined;
	if (at < 0) return 0;
	const cell = made.cells[at];
	const column = made.columns[cell.column + (along ?? 0)];
	if (!column) return at;
	return column.first + Math.min(column.count - 1, Math.max(0, cell.row + (across ?? 0)));
}

/** about is what is known of a cell. */
function about(cell, sources, tell) {
	const { sum, layer, role } = cell;
	const one = sum.parts.length === 1 ? sum.parts[0] : undefined;
	const name = one && one !== layer ? `${layer.name}.${one.name}` : layer.name;
	const facts = [
		one && one !== layer ? null : role ? role.name : null,
		one?.dtype, one?.shape?.join(" × "),
		(one?.tensors ?? sum.tensors) > 1 ? many(one?.tensors ?? sum.tensors, "tensor") : null,
		bytes(sum.bytes),
	].filter((f) => f);
	return [
		h("p", { class: "name" }, h("code", {}, name), h("span", { class: "soft" }, facts.join(" · "))),
		h("ul", { class: "where" }, [...portions(sum)].map(([kind, n]) => h("li", {}, h("i", { class: `swatch ${kind}` }),
			h("b", {}, percent(n, sum.bytes)), " ", words(kind, n, sum, sources, tell)))),
	];
}

function words(kind, n, sum, sources, tell) {
	if (kind === "new") return `new, ${bytes(n)}`;
	if (kind.startsWith("v")) return `shared with ${tell(sources[Number(kind.slice(1))])}`;
	return kind === `heat${unknown}` ? "changed, stored whole" : `changed, ${differs(sum)}`;
}

/** differs says how much of what has changed differs, as far as it is known. */
function differs(sum) {
	const v = heat(sum);
	return v > 0.95 ? "most of its values" : `about ${percent(v, 1)} of its values`;
}

/** table is the map in rows and words, for those who do not see it. */
export function table(version) {
	const row = (l) => {
		const sum = whole([l]);
		const shared = sum.from.reduce((a, b) => a + b, 0);
		return h("tr", {}, h("th", { scope: "row" }, h("code", {}, l.name)),
			h("td", {}, count(l.tensors ?? 0)), h("td", {}, bytes(l.bytes)),
			h("td", {}, strip(sum)),
			h("td", {}, percent(shared, l.bytes)), h("td", {}, sum.changed ? bytes(sum.changed) + (sum.known ? `, ${differs(sum)}` : "") : "–"), h("td", {}, sum.fresh ? bytes(sum.fresh) : "–"));
	};
	return h("table", { class: "layers" },
		h("thead", {}, h("tr", {}, ["Layer", "Tensors", "Size", "", "Shared", "Changed", "New"].map((t) => h("th", { scope: "col" }, t)))),
		h("tbody", {}, version.layers.map(row)));
}

/** strip is a bar of what a sum consists of. */
export function strip(sum, label) {
	const bar = h("span", { class: "strip", role: label ? "img" : null, "aria-label": label, "aria-hidden": label ? null : "true" });
	for (const [kind, n] of portions(sum)) bar.append(h("i", { class: kind, style: { "flex-grow": String(n / sum.bytes) } }));
	return bar;
}
