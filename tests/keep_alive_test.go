// For denoise.go, beside which it is put: a call that takes longer than the collector, and is the last use of its stream.
package main

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

func TestACallKeepsItsStreamAlive(t *testing.T) {
	stream, err := NewStream(16000, 1)
	if err != nil {
		t.Fatal(err)
	}
	var ended, done int32
	runtime.SetFinalizer(stream, nil)
	runtime.SetFinalizer(stream, func(*Stream) { atomic.StoreInt32(&ended, 1) })
	go process(stream, make([]int16, 16000*1200), &done)
	for round := 0; round < 10; round++ {
		time.Sleep(10 * time.Millisecond) // for the call to begin, and a finalizer to run
		runtime.GC()
	}
	if atomic.LoadInt32(&done) == 0 && atomic.LoadInt32(&ended) != 0 {
		t.Error("the stream was given back while a call was at work with it")
	}
}

func process(stream *Stream, samples []int16, done *int32) {
	stream.Process(samples)
	atomic.StoreInt32(done, 1)
}
