package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
)

// An outFile is an output file. It is opened before the work begins, so that an error
// shows at once. It keeps its old content until the first write.
type outFile struct {
	file    *os.File
	existed bool
	written bool
	err     error
}

// create opens a file for writing. It is closed when the command ends. "-" is standard
// output. A regular file that is open already is refused: two outputs would mix in it.
func (e *env) create(name string) (io.Writer, error) {
	if name == "-" {
		return e.stdout, nil
	}
	_, err := os.Lstat(name)
	f := &outFile{existed: err == nil}
	if f.file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666); err != nil {
		return nil, err
	}
	twice := slices.ContainsFunc(e.files, f.same)
	e.files = append(e.files, f)
	if twice {
		return nil, fmt.Errorf("%s: two outputs have this file", name)
	}
	return f, nil
}

// same reports whether both are one regular file.
func (f *outFile) same(other *outFile) bool {
	a, _ := f.file.Stat()
	b, _ := other.file.Stat()
	return os.SameFile(a, b) && a.Mode().IsRegular()
}

func (f *outFile) Write(p []byte) (int, error) {
	f.empty()
	n, err := f.file.Write(p)
	f.err = cmp.Or(f.err, err)
	return n, err
}

// empty removes the old content, once. Truncation fails for files that are not regular,
// which have no old content.
func (f *outFile) empty() {
	if !f.written {
		f.written = true
		_ = f.file.Truncate(0)
	}
}

// close closes the file. If nothing was written, ok decides: if it is true, the file is
// left empty; if not, an existing file keeps its content and a new one is removed.
func (f *outFile) close(ok bool) error {
	if ok {
		f.empty()
	}
	err := f.file.Close()
	if !f.written && !f.existed {
		_ = os.Remove(f.file.Name())
	}
	if f.err != nil { // the write has returned it
		return nil
	}
	return err
}
