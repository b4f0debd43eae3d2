package main

import "github.com/ingot-ml/ingot/registry"

// auditKeys say where it is recorded who did what.
func (c *serveConfig) auditKeys() []*key {
	return []*key{
		newKey("audit-log", "FILE", "the path of a file, without ~, - for the standard output, or none", &c.registry.AuditLog,
			orNone("", parseAuditLog), spellNone("", asIs),
			"file to which a line of JSON is added for everything that changes something, reads a version or is refused; while it cannot be written, nothing is changed"),
	}
}

func parseAuditLog(text string) (string, bool) {
	if text == registry.AuditStandard {
		return text, true
	}
	return parsePath(text)
}
