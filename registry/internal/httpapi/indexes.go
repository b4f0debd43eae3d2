package httpapi

import (
	"strconv"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
)

// maxIndexes is the length in bytes of the longest list of indexes: MaxBatchChunks
// times ten digits and a comma, and room for ranges written at length.
const maxIndexes = openapi.MaxBatchChunks*12 - 1

// parseIndexes reads indexes and ranges of indexes, as in "0-15,20", of a parameter.
func parseIndexes(s, param string) ([]uint32, error) {
	if len(s) > maxIndexes {
		return nil, openapi.Errorf(openapi.CodeTooLarge, "%s: %d bytes, want at most %d", param, len(s), maxIndexes)
	}
	var indexes []uint32
	for part := range strings.SplitSeq(s, ",") {
		first, last, err := parseRange(part)
		if err != nil {
			return nil, err
		}
		// In 64 bits: the last index may be the greatest of 32.
		if uint64(len(indexes))+uint64(last)-uint64(first) >= openapi.MaxBatchChunks {
			return nil, openapi.Errorf(openapi.CodeTooLarge, "%s: more than %d chunks", param, openapi.MaxBatchChunks)
		}
		for i := uint64(first); i <= uint64(last); i++ {
			indexes = append(indexes, uint32(i))
		}
	}
	return indexes, nil
}

func parseRange(s string) (first, last uint32, err error) {
	low, high, ok := strings.Cut(s, "-")
	if !ok {
		high = low
	}
	first, err = parseIndex(low)
	if err != nil {
		return 0, 0, err
	}
	last, err = parseIndex(high)
	if err == nil && last < first {
		err = openapi.Errorf(openapi.CodeBadRequest, "range %.40q of indexes: it ends before it begins", s)
	}
	return first, last, err
}

// parseIndex reads an index. It has one spelling: caches know answers by it.
func parseIndex(s string) (uint32, error) {
	i, err := strconv.ParseUint(s, 10, 32)
	if err != nil || len(s) > 1 && s[0] == '0' {
		return 0, openapi.Errorf(openapi.CodeBadRequest, "index %.40q: want a number below 2^32, without zeros in front", s)
	}
	return uint32(i), nil
}
