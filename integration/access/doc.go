// Package access holds the test that tries, as everybody who may ask a registry, every
// operation that it has, and writes what comes of it into docs/access-table.md.
package access
