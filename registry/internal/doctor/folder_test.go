package doctor_test

import (
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/doctor"
)

func TestFolderProperties(t *testing.T) {
	dir := t.TempDir()
	for _, f := range doctor.Folder(dir) {
		if f.State != doctor.OK && f.Property != "file-system" { // which is the tester's own
			t.Errorf("%s is %s: %s", f.Property, f.State, f.Saw)
		}
		if f.Needs == "" || f.Saw == "" || (f.State == doctor.OK) != (f.Do == "") {
			t.Errorf("a finding is not complete: %+v", f)
		}
	}
	for _, f := range doctor.Folder(dir + "/missing") {
		if f.State != doctor.Failed {
			t.Errorf("%s of no folder is %s: %s", f.Property, f.State, f.Saw)
		}
	}
}

func TestFileSystems(t *testing.T) {
	tests := map[int64]doctor.State{
		0xef53: doctor.OK, 0x58465342: doctor.OK, 0x9123683e: doctor.OK, -0x6edc97c2: doctor.OK,
		0x6969: doctor.Failed, 0xff534d42: doctor.Failed, 0xfe534d42: doctor.Failed,
		0x794c7630: doctor.Warning, 0x01021994: doctor.Warning, 0x65735546: doctor.Warning, 0x1234: doctor.Warning,
	}
	for magic, want := range tests {
		if state, saw := doctor.JudgeFileSystem(magic); state != want || saw == "" {
			t.Errorf("%#x is %s, %s; want %s", magic, state, saw, want)
		}
	}
}
