// Makes the map a picture that can be shown elsewhere: with its title, what its colours
// mean, and nothing of the page around it.

import { s } from "./dom.js";

const pad = 36;
const shown = ["fill", "stroke", "stroke-width", "font-size", "font-family", "font-weight", "text-anchor", "dominant-baseline"];

/** save has the browser keep the map of a section as a PNG of a name. */
export async function save(section, title, name) {
	const svg = compose(section, title);
	const image = new Image();
	const read = new Promise((done, fail) => { image.onload = done; image.onerror = () => fail(new Error("the picture cannot be drawn")); });
	image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(svg))}`;
	await read;
	const canvas = document.createElement("canvas");
	canvas.width = 2 * svg.getAttribute("width");
	canvas.height = 2 * svg.getAttribute("height");
	canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
	const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
	const link = document.createElement("a");
	link.href = URL.createObjectURL(blob);
	link.download = `${name.replace(/[^A-Za-z0-9._-]+/g, "-")}.png`;
	link.click();
	setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
	return blob.size;
}

/** compose draws the picture as one SVG that needs nothing else. */
export function compose(section, title) {
	const map = section.querySelector(".map svg");
	const wide = Math.max(560, Number(map.getAttribute("width")));
	const style = getComputedStyle(section);
	const text = (x, y, size, weight, color, words) => s("text", { x, y, "font-size": size, "font-weight": weight, fill: color, "font-family": style.fontFamily }, words);
	const soft = getComputedStyle(section.querySelector(".detail")).color;
	const copy = inline(map);
	for (const c of copy.querySelectorAll(".cursor")) c.remove();
	copy.setAttribute("x", pad);
	copy.setAttribute("y", 104);
	const top = 104 + Number(map.getAttribute("height")) + 34;
	const { parts, bottom } = key(section, top, wide, text, style.color);
	return s("svg", { width: wide + 2 * pad, height: bottom + 30, viewBox: `0 0 ${wide + 2 * pad} ${bottom + 30}` },
		s("rect", { width: "100%", height: "100%", fill: style.backgroundColor }),
		text(pad, 48, 24, 650, style.color, title),
		text(pad, 78, 16, 400, soft, section.querySelector(".big").textContent),
		copy, parts,
		text(wide + pad - 36, bottom + 8, 13, 600, soft, "ingot"));
}

/** key repeats what the colours mean, in a row that breaks. */
function key(section, top, wide, text, ink) {
	const parts = [];
	let x = pad;
	let y = top;
	let scale = "values that differ: "; // before the first step of the scale
	for (const item of section.querySelectorAll(".legend li")) {
		const swatch = item.querySelector(".swatch");
		let words = [...item.childNodes].filter((n) => n !== swatch).map((n) => n.textContent.trim()).filter(Boolean).join(" · ");
		if (item.parentElement.classList.contains("scale")) [words, scale] = [scale + words, ""];
		const size = 30 + words.length * 7;
		if (x + size > wide + pad) {
			x = pad;
			y += 26;
		}
		const fresh = swatch.classList.contains("new");
		parts.push(s("rect", { x, y: y - 11, width: 13, height: 13, rx: 3, fill: fresh ? "url(#hatch)" : getComputedStyle(swatch).backgroundColor }),
			text(x + 20, y, 13, 400, ink, words));
		x += size;
	}
	return { parts, bottom: y + 14 };
}

/** inline copies an SVG with what style sheets make of it. */
function inline(svg) {
	const copy = svg.cloneNode(true);
	const from = [svg, ...svg.querySelectorAll("*")];
	[copy, ...copy.querySelectorAll("*")].forEach((node, i) => {
		const style = getComputedStyle(from[i]);
		for (const name of shown) {
			const value = style.getPropertyValue(name);
			if (value) node.setAttribute(name, value.replace(/url\("?[^"#)]*#/, "url(#").replace(/"\)$/, ")"));
		}
	});
	return copy;
}
