// Draws what versions have added to the store, and a metric over it.

import { h, put, s, sized } from "./dom.js";
import { bytes, figure, short } from "./words.js";

const height = 170;
const pad = { top: 14, right: 8, bottom: 22, left: 8 };
const scale = 46; // beside the bars, for the numbers of a metric

/** metrics are the names of the numbers that versions have. */
export function metrics(versions) {
	const names = new Set();
	for (const v of versions) {
		if (Number.isFinite(value(v, "loss"))) names.add("loss");
		for (const name of Object.keys(v.metrics ?? {})) if (name !== "ingot.loss") names.add(name);
	}
	return [...names];
}

/** value of a metric, NaN where a version has none. */
export function value(v, name) {
	const found = name === "loss" ? v.loss : v.metrics?.[name];
	return found === undefined || found === "" ? NaN : Number(found);
}

/** chart: versions come newest first and are drawn from the left; pick is told what is pointed at. */
export function chart(versions, metric, pick) {
	const line = [...versions].reverse();
	const box = h("figure", { class: "chart" });
	const caption = h("figcaption", { class: "soft" });
	const picture = h("div");
	box.append(picture, caption);
	const say = (v) => put(caption, v ? told(v, metric) : "");
	say(line.at(-1));
	sized(picture, (width) => put(picture, draw(line, metric, width, (v) => { say(v ?? line.at(-1)); pick?.(v); })));
	return box;
}

function told(v, metric) {
	const m = metric ? value(v, metric) : NaN;
	return [v.step !== undefined ? `step ${v.step}` : short(v.digest), v.tags.length ? v.tags.join(", ") : null,
		`adds ${bytes(v.bytes_added)}`, Number.isFinite(m) ? `${metric} ${figure(String(m))}` : null].filter(Boolean).join(" · ");
}

function draw(line, metric, width, say) {
	const known = new Set(line.map((v) => v.digest));
	const root = (v) => !v.parent || !known.has(v.parent);
	const tops = line.filter((v) => !root(v)).map((v) => v.bytes_added);
	const top = Math.max(1, ...(tops.length ? tops : line.map((v) => v.bytes_added)));
	const each = (width - pad.left - pad.right - (metric ? scale : 0)) / Math.max(line.length, 8);
	const inner = height - pad.top - pad.bottom;
	const x = (i) => pad.left + each * i;
	const bars = line.map((v, i) => {
		const tall = Math.max(1, Math.min(1, v.bytes_added / top) * inner);
		return s("rect", { class: v.bytes_added > top ? "added over" : "added", x: x(i), y: pad.top + inner - tall, width: Math.max(0.7, each - (each > 4 ? 1.5 : 0.3)), height: tall, rx: each > 8 ? 1.5 : 0 });
	});
	const cursor = s("rect", { class: "at", y: pad.top, height: inner, width: 0, x: 0 });
	const svg = s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Bytes that each of ${line.length} versions has added${metric ? `, and ${metric}` : ""}` },
		bars, cursor, metric ? curve(line, metric, x, each, inner) : null,
		s("text", { x: pad.left, y: pad.top - 4 }, `up to ${bytes(top)} a version`),
		ends(line, width, x, each));
	svg.addEventListener("pointermove", (e) => {
		const i = Math.floor((e.clientX - svg.getBoundingClientRect().left - pad.left) / each);
		const v = line[i];
		cursor.setAttribute("x", x(i));
		cursor.setAttribute("width", v ? each : 0);
		say(v);
	});
	svg.addEventListener("pointerleave", () => { cursor.setAttribute("width", 0); say(undefined); });
	return svg;
}

function ends(line, width, x, each) {
	const word = (v) => v.step !== undefined ? `step ${v.step}` : short(v.digest);
	if (line.length < 2) return [];
	return [s("text", { x: pad.left, y: height - 6 }, word(line[0])),
		s("text", { x: Math.min(width - pad.right, x(line.length) - 1), y: height - 6, "text-anchor": x(line.length) > 200 ? "end" : "start" }, word(line.at(-1)))];
}

/** A line leads from every version to what it was made from, so that branches part. */
function curve(line, metric, x, each, inner) {
	const at = new Map(line.map((v, i) => [v.digest, i]));
	const values = line.map((v) => value(v, metric));
	const real = values.filter(Number.isFinite);
	if (real.length === 0) return null;
	const low = Math.min(...real);
	const high = Math.max(...real);
	const y = (v) => pad.top + 6 + (inner - 12) * (high === low ? 0.5 : (high - v) / (high - low));
	const middle = (i) => (x(i) + Math.max(0.35, each / 2)).toFixed(1);
	let path = "";
	line.forEach((v, i) => {
		if (!Number.isFinite(values[i])) return;
		let from = at.get(v.parent);
		for (let steps = 0; from !== undefined && !Number.isFinite(values[from]) && steps < line.length; steps++) from = at.get(line[from].parent);
		if (from !== undefined && Number.isFinite(values[from])) path += `M${middle(from)} ${y(values[from]).toFixed(1)}L${middle(i)} ${y(values[i]).toFixed(1)}`;
	});
	return [s("path", { class: "metric", d: path }),
		each > 9 ? values.map((v, i) => Number.isFinite(v) ? s("circle", { class: "point", cx: middle(i), cy: y(v), r: 2.6 }) : null) : null,
		[[high, y(high)], [low, y(low)]].map(([v, at], i) => high === low && i ? null : s("text", { class: "scale", x: x(line.length) + 6, y: at + 4 }, figure(String(v))))];
}
