// Counterparts of gcruntime's fiber_bench.cc and sync_bench.cc, on one processor as
// those run with one worker: so goroutines may share plain variables.
package bench

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// Two goroutines yield to each other: an iteration is one yield of each.
func BenchmarkYieldPingPong(b *testing.B) { yieldAround(b, 2) }

func BenchmarkYieldRoundRobin200(b *testing.B) { yieldAround(b, 200) }

// An item is one yield: from one goroutine to the next.
func yieldAround(b *testing.B, goroutines int) {
	var stop atomic.Bool
	var group sync.WaitGroup
	for i := 1; i < goroutines; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for !stop.Load() {
				runtime.Gosched()
			}
		}()
	}
	runtime.Gosched()
	end := measure(b, goroutines)
	for i := 0; i < b.N; i++ {
		runtime.Gosched()
	}
	end()
	stop.Store(true)
	group.Wait()
}

func BenchmarkSpawnRunJoin(b *testing.B) {
	var group sync.WaitGroup
	sum := int64(0)
	defer measure(b, 1)()
	for i := 0; i < b.N; i++ {
		group.Add(1)
		go func() {
			sum++
			group.Done()
		}()
		group.Wait()
	}
	sumSink = sum
}

// 100 goroutines are started, then run one after the other.
func BenchmarkSpawnRunBatch(b *testing.B) {
	var group sync.WaitGroup
	sum := int64(0)
	defer measure(b, 100)()
	for i := 0; i < b.N; i++ {
		group.Add(100)
		for k := 0; k < 100; k++ {
			go func() {
				sum++
				group.Done()
			}()
		}
		group.Wait()
	}
	sumSink = sum
}

func BenchmarkMutexUncontended(b *testing.B) {
	var mutex sync.Mutex
	defer measure(b, 1)()
	for i := 0; i < b.N; i++ {
		mutex.Lock()
		sumSink++
		mutex.Unlock()
	}
}

// Eight goroutines take one lock 100 times each and yield inside: every lock is contended.
func BenchmarkMutexHandOver(b *testing.B) {
	defer measure(b, 800)()
	for i := 0; i < b.N; i++ {
		var mutex sync.Mutex
		var group sync.WaitGroup
		for g := 0; g < 8; g++ {
			group.Add(1)
			go func() {
				defer group.Done()
				for turn := 0; turn < 100; turn++ {
					mutex.Lock()
					runtime.Gosched()
					mutex.Unlock()
				}
			}()
		}
		group.Wait()
	}
}

// A value goes to another goroutine and comes back: an iteration is one round trip, two items.
func BenchmarkChannelUnbuffered(b *testing.B) {
	there, back := make(chan int64), make(chan int64)
	go func() {
		for value := range there {
			back <- value + 1
		}
		close(back)
	}()
	value := int64(0)
	end := measure(b, 2)
	for i := 0; i < b.N; i++ {
		there <- value
		value = <-back
	}
	end()
	close(there)
	sumSink = value
}

// One goroutine sends, one receives, with room for 128 between them; an item is one value.
func BenchmarkChannelBuffered(b *testing.B) {
	values := make(chan int64, 128)
	done := make(chan int64)
	go func() {
		sum := int64(0)
		for value := range values {
			sum += value
		}
		done <- sum
	}()
	end := measure(b, 1)
	for i := 0; i < b.N; i++ {
		values <- int64(i)
	}
	close(values)
	sumSink = <-done
	end()
}
