// A client-go shared informer with its defaults, as https://pkg.go.dev/k8s.io/client-go/informers shows it: protobuf,
// and the first list as a stream where the server has it.
package main

import (
	"os"
	"sync"

	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"benchmarks/arms/line"
)

// slices is what the handlers know: the addresses of each slice, as the Python programs keep them.
type slices struct {
	mutex     sync.Mutex
	addresses map[string][]string
}

func (known *slices) put(object any) {
	slice := object.(*discovery.EndpointSlice)
	var addresses []string
	for _, endpoint := range slice.Endpoints {
		addresses = append(addresses, endpoint.Addresses...)
	}
	known.mutex.Lock()
	defer known.mutex.Unlock()
	known.addresses[slice.Name] = addresses
	line.Tell(line.Now(), slice.ResourceVersion, known.count())
}

func (known *slices) remove(object any) {
	slice, whole := object.(*discovery.EndpointSlice)
	if !whole {
		return
	}
	known.mutex.Lock()
	defer known.mutex.Unlock()
	delete(known.addresses, slice.Name)
	line.Tell(line.Now(), slice.ResourceVersion, known.count())
}

func (known *slices) count() int {
	sum := 0
	for _, addresses := range known.addresses {
		sum += len(addresses)
	}
	return sum
}

func main() {
	config, err := rest.InClusterConfig()
	if err != nil {
		panic(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithNamespace(os.Getenv("BENCH_NAMESPACE")),
		informers.WithTweakListOptions(func(options *metav1.ListOptions) {
			options.LabelSelector = "kubernetes.io/service-name=" + os.Getenv("BENCH_SERVICE")
		}))
	known := &slices{addresses: map[string][]string{}}
	_, err = factory.Discovery().V1().EndpointSlices().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    known.put,
		UpdateFunc: func(_, object any) { known.put(object) },
		DeleteFunc: known.remove,
	})
	if err != nil {
		panic(err)
	}
	factory.Start(nil)
	factory.WaitForCacheSync(nil)
	select {}
}
