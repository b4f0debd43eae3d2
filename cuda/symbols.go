package cuda

// symbol is a function of the driver.
type symbol int

const (
	cuInit symbol = iota
	cuGetErrorName
	cuDriverGetVersion
	cuDeviceGetCount
	cuDeviceGet
	cuDeviceGetName
	cuDeviceGetUUID
	cuDeviceTotalMem
	cuDeviceGetAttribute
	cuPrimaryCtxSetFlags
	cuPrimaryCtxRetain
	cuPrimaryCtxRelease
	cuCtxSetCurrent
	cuCtxSynchronize
	cuMemGetInfo
	cuMemGetGranularity
	cuMemCreate
	cuMemRelease
	cuMemExport
	cuMemImport
	cuMemAddressReserve
	cuMemAddressFree
	cuMemMap
	cuMemUnmap
	cuMemSetAccess
	cuMemHostRegister
	cuMemHostUnregister
	cuMemcpyHtoD
	cuMemcpyDtoH
	cuMemcpyDtoD
	cuMemset
	cuStreamCreate
	cuStreamDestroy
	cuStreamSynchronize
	cuStreamQuery
	cuStreamWaitEvent
	cuEventCreate
	cuEventDestroy
	cuEventRecord
	cuEventQuery
	cuEventSynchronize
	cuEventElapsedTime
	cuModuleLoadData
	cuModuleUnload
	cuModuleGetFunction
	cuLaunchKernel
	symbolCount
)

// symbols are the names by which functions are looked up. All of them are in every
// driver of CUDA 11.4 and later.
var symbols = [symbolCount]string{
	cuInit:               "cuInit",
	cuGetErrorName:       "cuGetErrorName",
	cuDriverGetVersion:   "cuDriverGetVersion",
	cuDeviceGetCount:     "cuDeviceGetCount",
	cuDeviceGet:          "cuDeviceGet",
	cuDeviceGetName:      "cuDeviceGetName",
	cuDeviceGetUUID:      "cuDeviceGetUuid_v2",
	cuDeviceTotalMem:     "cuDeviceTotalMem_v2",
	cuDeviceGetAttribute: "cuDeviceGetAttribute",
	cuPrimaryCtxSetFlags: "cuDevicePrimaryCtxSetFlags_v2",
	cuPrimaryCtxRetain:   "cuDevicePrimaryCtxRetain",
	cuPrimaryCtxRelease:  "cuDevicePrimaryCtxRelease_v2",
	cuCtxSetCurrent:      "cuCtxSetCurrent",
	cuCtxSynchronize:     "cuCtxSynchronize",
	cuMemGetInfo:         "cuMemGetInfo_v2",
	cuMemGetGranularity:  "cuMemGetAllocationGranularity",
	cuMemCreate:          "cuMemCreate",
	cuMemRelease:         "cuMemRelease",
	cuMemExport:          "cuMemExportToShareableHandle",
	cuMemImport:          "cuMemImportFromShareableHandle",
	cuMemAddressReserve:  "cuMemAddressReserve",
	cuMemAddressFree:     "cuMemAddressFree",
	cuMemMap:             "cuMemMap",
	cuMemUnmap:           "cuMemUnmap",
	cuMemSetAccess:       "cuMemSetAccess",
	cuMemHostRegister:    "cuMemHostRegister_v2",
	cuMemHostUnregister:  "cuMemHostUnregister",
	cuMemcpyHtoD:         "cuMemcpyHtoDAsync_v2",
	cuMemcpyDtoH:         "cuMemcpyDtoHAsync_v2",
	cuMemcpyDtoD:         "cuMemcpyDtoDAsync_v2",
	cuMemset:             "cuMemsetD8Async",
	cuStreamCreate:       "cuStreamCreate",
	cuStreamDestroy:      "cuStreamDestroy_v2",
	cuStreamSynchronize:  "cuStreamSynchronize",
	cuStreamQuery:        "cuStreamQuery",
	cuStreamWaitEvent:    "cuStreamWaitEvent",
	cuEventCreate:        "cuEventCreate",
	cuEventDestroy:       "cuEventDestroy_v2",
	cuEventRecord:        "cuEventRecord",
	cuEventQuery:         "cuEventQuery",
	cuEventSynchronize:   "cuEventSynchronize",
	cuEventElapsedTime:   "cuEventElapsedTime",
	cuModuleLoadData:     "cuModuleLoadData",
	cuModuleUnload:       "cuModuleUnload",
	cuModuleGetFunction:  "cuModuleGetFunction",
	cuLaunchKernel:       "cuLaunchKernel",
}

// optional tells a function without which a driver is good for most things: calling
// it then fails with ErrUnsupported.
func (s symbol) optional() bool {
	switch s {
	case cuGetErrorName, cuPrimaryCtxSetFlags, cuStreamWaitEvent, cuEventElapsedTime:
		return true
	}
	return false
}
