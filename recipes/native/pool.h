/* Threads that share the items of a batch. What an item yields does not depend on the thread that works on it, and
 * sums over items are taken afterwards in their order: results are the same with any number of threads.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

typedef void work(void *what, int64_t item);

enum { MOST_THREADS = 64, PATIENCE = 4000 }; /* looks before a thread goes to sleep */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    atomic_ullong ticket; /* round of work in the high half, items that nobody took yet in the low half */
    atomic_llong done;
    work *task;
    void *what;
    int threads; /* beside the caller's */
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

INLINE void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Work while there are items. Task and argument stand still until the item that was taken is done. */
static void take_items(void)
{
    unsigned long long seen = atomic_load(&pool.ticket);
    while ((uint32_t)seen)
        if (atomic_compare_exchange_weak(&pool.ticket, &seen, seen - 1)) {
            pool.task(pool.what, (int64_t)(uint32_t)seen - 1);
            atomic_fetch_add(&pool.done, 1);
            seen = atomic_load(&pool.ticket);
        }
}

static uint32_t this_round(void) { return atomic_load(&pool.ticket) >> 32; }

static void await_round(uint32_t seen)
{
    for (int i = 0; i < PATIENCE; i++, relax())
        if (this_round() != seen) return;
    pthread_mutex_lock(&pool.mutex);
    while (this_round() == seen) pthread_cond_wait(&pool.wake, &pool.mutex);
    pthread_mutex_unlock(&pool.mutex);
}

static void *serve(void *nothing)
{
    for (uint32_t seen = this_round();; seen = this_round()) {
        take_items();
        await_round(seen);
    }
    return nothing;
}

/* Use this many threads, the caller's included, from now on; never fewer than before. Returns how many there are. */
int use_threads(int threads)
{
    pthread_t made;
    while (pool.threads + 1 < threads && pool.threads < MOST_THREADS && !pthread_create(&made, 0, serve, 0)) {
        pthread_detach(made);
        pool.threads++;
    }
    return pool.threads + 1;
}

static void share(work *task, void *what, int64_t items)
{
    pool.task = task, pool.what = what;
    atomic_store(&pool.done, 0);
    pthread_mutex_lock(&pool.mutex);
    atomic_store(&pool.ticket, ((unsigned long long)this_round() + 1) << 32 | (uint32_t)items);
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.mutex);
    take_items();
    for (int i = 0; atomic_load(&pool.done) < items; i++) {
        if (i < PATIENCE) relax();
        else sched_yield(); /* the thread that holds the last item may wait for this core */
    }
}

/* task(what, item) for each item; one caller at a time. */
static void for_items(work *task, void *what, int64_t items)
{
    if (pool.threads && items > 1) share(task, what, items);
    else for (int64_t item = 0; item < items; item++) task(what, item);
}
