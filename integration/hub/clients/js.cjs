// Reads or writes a model with @huggingface/hub.
// argv: read REPO COMMIT FOLDER | write REPO FOLDER [xet]
// It fails by the first answer that is not as it should be, and compares all bytes.
"use strict";
const hub = require("@huggingface/hub");
const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");
const { pathToFileURL } = require("node:url");

const hubUrl = process.env.HF_ENDPOINT;
const accessToken = process.env.HF_TOKEN;
const version = JSON.parse(fs.readFileSync(path.join(path.dirname(require.resolve("@huggingface/hub")), "../package.json"))).version;
const ran = [];
console.debug = console.error; // snapshotDownload tells what it does, and the test reads what is printed

function walk(folder) {
	const all = fs.readdirSync(folder, { recursive: true, withFileTypes: true });
	return all.filter((f) => f.isFile()).map((f) => path.relative(folder, path.join(f.parentPath ?? f.path, f.name)));
}

async function list(repo, revision = "main") {
	const files = [];
	for await (const f of hub.listFiles({ repo, hubUrl, accessToken, revision, recursive: true })) files.push(f);
	return files.filter((f) => f.type === "file");
}

// compare reads every file of folder back, the large ones in a slice too.
async function compare(repo, folder, revision) {
	for (const name of walk(folder)) {
		const want = fs.readFileSync(path.join(folder, name));
		const blob = await hub.downloadFile({ repo, path: name, hubUrl, accessToken, revision });
		assert.ok(blob, `${name} is not there`);
		assert.ok(Buffer.from(await blob.arrayBuffer()).equals(want), `${name} has other bytes`);
		if (want.length > 1 << 20) {
			const slice = Buffer.from(await blob.slice(123457, 934567).arrayBuffer());
			assert.ok(slice.equals(want.subarray(123457, 934567)), `${name} has other bytes in a slice`);
		}
	}
	ran.push("downloadFile");
}

async function fails(promise, status) {
	const error = await promise.then(() => null, (e) => e);
	assert.ok(error, "nothing has failed");
	assert.strictEqual(error.statusCode, status, `${error}`);
}

async function read(repo, commit, folder) {
	const info = await hub.modelInfo({ name: repo, hubUrl, accessToken, additionalFields: ["sha"] });
	assert.strictEqual(info.sha, commit);
	const models = [];
	for await (const m of hub.listModels({ search: { owner: repo.split("/")[0] }, hubUrl, accessToken })) models.push(m.name);
	assert.ok(models.includes(repo), `${models}`);
	ran.push("modelInfo", "listModels");
	const files = await list(repo);
	assert.deepStrictEqual(files.map((f) => f.path).sort(), walk(folder).sort());
	ran.push("listFiles");
	await compare(repo, folder, "main");
	await compare(repo, folder, commit);
	const one = await hub.fileDownloadInfo({ repo, path: "config.json", hubUrl, accessToken });
	assert.strictEqual(one.size, fs.statSync(path.join(folder, "config.json")).size);
	assert.strictEqual(await hub.downloadFile({ repo, path: "nope", hubUrl, accessToken }), null);
	assert.ok(await hub.fileExists({ repo, path: "config.json", hubUrl, accessToken }));
	assert.ok(!(await hub.fileExists({ repo, path: "nope", hubUrl, accessToken })));
	ran.push("fileDownloadInfo", "fileExists");
	await fails(hub.modelInfo({ name: "nobody/nothing", hubUrl, accessToken }), 404);
	await fails(hub.modelInfo({ name: "nobody/nothing", hubUrl }), 401);
	await fails(list(repo, "v9"), 404);
	const snapshot = await hub.snapshotDownload({ repo, hubUrl, accessToken, cacheDir: path.join(process.env.HOME, "hub") });
	ran.push("snapshotDownload");
	return { snapshot };
}

async function write(repo, folder, useXet) {
	await hub.createRepo({ repo, accessToken, hubUrl });
	await fails(hub.createRepo({ repo, accessToken, hubUrl }), 409);
	const files = walk(folder).map((name) => ({ path: name, content: pathToFileURL(path.join(folder, name)) }));
	const done = await hub.uploadFiles({ repo, accessToken, hubUrl, useXet, files });
	assert.match(done.commit.oid, /^[0-9a-f]{40}$/);
	ran.push("createRepo", "uploadFiles");
	await compare(repo, folder, done.commit.oid);
	await hub.uploadFile({ repo, accessToken, hubUrl, useXet, file: { path: "note.txt", content: new Blob(["hello"]) } });
	await hub.deleteFile({ repo, accessToken, hubUrl, path: "note.txt" });
	assert.ok(!(await list(repo)).some((f) => f.path === "note.txt"));
	ran.push("uploadFile", "deleteFile");
	await hub.createBranch({ repo, accessToken, hubUrl, branch: "dev" });
	await hub.deleteBranch({ repo, accessToken, hubUrl, branch: "dev" });
	ran.push("createBranch", "deleteBranch");
	const commits = [];
	for await (const c of hub.listCommits({ repo, accessToken, hubUrl })) commits.push(c.oid);
	assert.ok(commits.includes(done.commit.oid), `${commits}`);
	ran.push("listCommits");
	const gone = `${repo}-gone`;
	await hub.createRepo({ repo: gone, accessToken, hubUrl });
	await hub.deleteRepo({ repo: gone, accessToken, hubUrl });
	await fails(hub.modelInfo({ name: gone, hubUrl, accessToken }), 404);
	ran.push("deleteRepo");
	return { commit: done.commit.oid };
}

const [what, repo, ...rest] = process.argv.slice(2);
const task = what === "read" ? read(repo, rest[0], rest[1]) : write(repo, rest[0], rest[1] === "xet");
task.then(
	(found) => process.stdout.write(JSON.stringify({ version, ran: [...new Set(ran)], ...found })),
	(e) => {
		console.error(e);
		process.exit(1);
	},
);
