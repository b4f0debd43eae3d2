// Makes elements. Text from the registry becomes text nodes and attribute values,
// never markup: nothing on the page parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/** h makes an HTML element: h("a", { href, class: "x", onclick: f }, "text", child). */
export function h(tag, props, ...children) {
	return fill(document.createElement(tag), props, children);
}

/** s makes an SVG element in the same way. */
export function s(tag, props, ...children) {
	return fill(document.createElementNS(SVG, tag), props, children);
}

/** Sets properties, and appends what of the children is not null or false. */
function fill(node, props, children) {
	for (const [key, value] of Object.entries(props ?? {})) {
		if (value === null || value === undefined || value === false) continue;
		if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
		else if (key === "style") for (const [name, v] of Object.entries(value)) node.style.setProperty(name, v);
		else if (key === "href") node.setAttribute("href", safe(value));
		else node.setAttribute(key, value === true ? "" : String(value));
	}
	add(node, children);
	return node;
}

function add(node, children) {
	for (const child of children) {
		if (child === null || child === undefined || child === false) continue;
		if (Array.isArray(child)) add(node, child);
		else node.append(child instanceof Node ? child : String(child));
	}
}

/** A link leads to a place of this server or within the page, whatever it was made of. */
function safe(href) {
	return /^(#|\/(?!\/))/.test(href) ? href : "#";
}

/** put replaces what a node holds. */
export function put(node, ...children) {
	node.replaceChildren();
	add(node, children);
	return node;
}

/** sized calls f with the width of a node, once it is drawn and whenever that changes. */
export function sized(node, f) {
	let last = -1;
	const watch = new ResizeObserver(() => {
		const width = Math.floor(node.clientWidth);
		if (width > 0 && width !== last) f(last = width);
	});
	watch.observe(node);
	return node;
}
