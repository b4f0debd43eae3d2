//go:build !race

package nodeapi_test

const manyLeases = 10_000
