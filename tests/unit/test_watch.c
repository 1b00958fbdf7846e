
/* sources: src/engine/ngx_async_watch.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "src/engine/ngx_async_watch.h"
#include "src/store/ngx_async_notify.h"
#include "src/store/ngx_async_shared.h"


#define MANY  10000


ngx_queue_t             ngx_posted_events;
ngx_queue_t             ngx_posted_next_events;
volatile ngx_cycle_t   *ngx_cycle;
ngx_uint_t              ngx_exiting;

static ngx_cycle_t        cycle_;
static ngx_log_t          log_;

static ngx_int_t          filter;       /* what the shared filter would hold */
static ngx_uint_t         announced;
static ngx_uint_t         announced_type;
static uint64_t           announced_value;

static ngx_uint_t         calls;
static ngx_async_watch_t *last;
static ngx_async_change_t last_change;

static ngx_async_watch_t  watches[MANY];
static ngx_uint_t         told[MANY];


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
}


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return malloc(size);
}


void
ngx_async_notify_watchers(ngx_uint_t type, ngx_async_id_t *id, uint64_t value,
    uint64_t value2)
{
    announced++;
    announced_type = type;
    announced_value = value;
}


void
ngx_async_shared_watch(const ngx_async_id_t *id, ngx_int_t delta)
{
    filter += delta;
}


/* one turn of the event loop; number of handlers called */

static ngx_uint_t
turn(void)
{
    ngx_uint_t    n;
    ngx_queue_t  *q;
    ngx_event_t  *ev;

    if (!ngx_queue_empty(&ngx_posted_next_events)) {
        ngx_queue_add(&ngx_posted_events, &ngx_posted_next_events);
        ngx_queue_init(&ngx_posted_next_events);
    }

    n = calls;

    while (!ngx_queue_empty(&ngx_posted_events)) {
        q = ngx_queue_head(&ngx_posted_events);
        ev = ngx_queue_data(q, ngx_event_t, queue);

        ngx_delete_posted_event(ev);
        ev->handler(ev);
    }

    return calls - n;
}


static void
handler(ngx_async_watch_t *watch, ngx_async_change_t *change)
{
    calls++;
    last = watch;
    last_change = *change;
    told[watch - watches]++;
}


static void
add(ngx_uint_t i, ngx_uint_t job, ngx_async_watch_pt h)
{
    ngx_memzero(&watches[i], sizeof(ngx_async_watch_t));
    ngx_memcpy(watches[i].id.bytes + 8, &job, sizeof(job));

    watches[i].handler = h;
    assert_int_equal(ngx_async_watch_add(&watches[i]), NGX_OK);
}


static int
setup(void **state)
{
    static ngx_uint_t  started;

    cycle_.log = &log_;
    ngx_cycle = &cycle_;
    ngx_exiting = 0;

    ngx_queue_init(&ngx_posted_events);
    ngx_queue_init(&ngx_posted_next_events);

    filter = 0;
    announced = 0;
    calls = 0;
    last = NULL;
    ngx_memzero(told, sizeof(told));
    ngx_memzero(watches, sizeof(watches));

    return started++ || ngx_async_watch_start(&cycle_) == NGX_OK ? 0 : -1;
}


static int
teardown(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < MANY; i++) {
        ngx_async_watch_del(&watches[i]);
    }

    (void) turn();

    return (ngx_async_watch_count() == 0 && filter == 0) ? 0 : -1;
}


static void
test_a_change_is_told_once_and_announced(void **state)
{
    add(0, 1, handler);
    add(1, 2, handler);
    assert_int_equal(filter, 2);
    assert_int_equal(ngx_async_watch_count(), 2);

    ngx_async_watch_changed(&watches[0].id);
    assert_int_equal(calls, 0);

    assert_int_equal(turn(), 1);
    assert_ptr_equal(last, &watches[0]);
    assert_false(last_change.progress);
    assert_int_equal(announced, 1);
    assert_int_equal(announced_type, NGX_ASYNC_NOTIFY_CHANGED);
    assert_int_equal(turn(), 0);

    /* by another worker: not announced again */

    ngx_async_watch_told(&watches[1].id, NULL);
    assert_int_equal(turn(), 1);
    assert_int_equal(announced, 1);

    ngx_async_watch_del(&watches[0]);
    ngx_async_watch_del(&watches[0]);
    assert_int_equal(filter, 1);
    ngx_async_watch_changed(&watches[0].id);
    assert_int_equal(turn(), 0);
    assert_int_equal(announced, 2);
}


static void
test_changes_of_a_turn_are_told_together(void **state)
{
    add(0, 1, handler);
    ngx_async_watch_changed(&watches[0].id);
    ngx_async_watch_changed(&watches[0].id);
    assert_int_equal(turn(), 1);
}


static void
test_progress_is_for_those_who_want_it(void **state)
{
    ngx_async_change_t  change;

    add(0, 1, handler);
    ngx_async_watch_progress(&watches[0].id, 10, 100);
    assert_int_equal(turn(), 0);
    assert_int_equal(announced_type, NGX_ASYNC_NOTIFY_PROGRESS);
    assert_int_equal(announced_value, 10);

    watches[1].id = watches[0].id;
    watches[1].handler = handler;
    watches[1].progress = 1;
    assert_int_equal(ngx_async_watch_add(&watches[1]), NGX_OK);
    assert_int_equal(filter, 1);

    ngx_async_watch_progress(&watches[0].id, 20, 100);
    ngx_async_watch_progress(&watches[0].id, 30, 100);
    assert_int_equal(turn(), 1);
    assert_ptr_equal(last, &watches[1]);
    assert_true(last_change.progress);
    assert_int_equal(last_change.received, 30);
    assert_int_equal(last_change.total, 100);

    /* a change of status wins over progress, in either order */

    change = last_change;
    ngx_async_watch_told(&watches[0].id, &change);
    ngx_async_watch_changed(&watches[0].id);
    assert_int_equal(turn(), 2);
    assert_false(last_change.progress);

    ngx_async_watch_changed(&watches[0].id);
    ngx_async_watch_told(&watches[0].id, &change);
    assert_int_equal(turn(), 2);
    assert_false(last_change.progress);
    assert_int_equal(turn(), 0);
}


static void
del_all(ngx_async_watch_t *watch, ngx_async_change_t *change)
{
    ngx_uint_t  i;

    handler(watch, change);

    for (i = 0; i < 100; i++) {
        ngx_async_watch_del(&watches[i]);
    }
}


static void
test_a_handler_may_remove_any_watch(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < 100; i++) {
        add(i, i % 3, del_all);
    }

    for (i = 0; i < 3; i++) {
        ngx_async_watch_changed(&watches[i].id);
    }

    assert_int_equal(turn(), 1);
    assert_int_equal(turn(), 0);
    assert_int_equal(ngx_async_watch_count(), 0);
    assert_int_equal(filter, 0);
}


static void
again(ngx_async_watch_t *watch, ngx_async_change_t *change)
{
    handler(watch, change);

    ngx_async_watch_del(watch);
    assert_int_equal(ngx_async_watch_add(watch), NGX_OK);
}


static void
test_a_watch_added_by_a_handler_waits_for_the_next_change(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < 1000; i++) {
        add(i, 1, again);
    }

    ngx_async_watch_changed(&watches[0].id);

    for (i = 0; i < 20; i++) {
        (void) turn();
    }

    assert_int_equal(calls, 1000);

    for (i = 0; i < 1000; i++) {
        assert_int_equal(told[i], 1);
    }
}


static void
test_many_are_told_in_bounded_turns(void **state)
{
    ngx_uint_t  i, n, turns;

    for (i = 0; i < MANY - 1; i++) {
        add(i, 1, handler);
    }

    add(MANY - 1, 2, handler);

    ngx_async_watch_changed(&watches[0].id);
    ngx_async_watch_changed(&watches[MANY - 1].id);

    turns = 0;

    do {
        n = turn();
        assert_true(n <= 300);
        turns++;

        /* a lone watch does not wait for the many */

        assert_int_equal(told[MANY - 1], 1);

    } while (n);

    assert_true(turns <= 50);

    for (i = 0; i < MANY; i++) {
        assert_int_equal(told[i], 1);
    }
}


static void
test_a_change_while_telling_reaches_all_again(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < 1000; i++) {
        add(i, 1, handler);
    }

    ngx_async_watch_changed(&watches[0].id);
    assert_true(turn() < 1000);
    ngx_async_watch_changed(&watches[0].id);

    for (i = 0; i < 20; i++) {
        (void) turn();
    }

    for (i = 0; i < 1000; i++) {
        assert_in_range(told[i], 1, 2);
    }

    assert_in_range(calls, 1001, 1999);
}


static void
test_many_jobs(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < MANY; i++) {
        add(i, i, handler);
    }

    assert_int_equal(filter, MANY);

    for (i = 0; i < MANY; i += 7) {
        ngx_async_watch_changed(&watches[i].id);
    }

    for (i = 0; i < 100; i++) {
        (void) turn();
    }

    for (i = 0; i < MANY; i++) {
        assert_int_equal(told[i], i % 7 == 0);
    }
}


static void
test_a_lost_change_is_told_to_all(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < MANY; i++) {
        add(i, i / 2, handler);
    }

    ngx_async_watch_missed();

    for (i = 0; i < 100; i++) {
        (void) turn();
    }

    for (i = 0; i < MANY; i++) {
        assert_int_equal(told[i], 1);
    }

    assert_int_equal(announced, 0);
}


static void
test_an_exiting_worker_tells_in_the_next_turn(void **state)
{
    ngx_exiting = 1;

    add(0, 1, handler);
    ngx_async_watch_changed(&watches[0].id);
    assert_true(ngx_queue_empty(&ngx_posted_events));
    assert_int_equal(turn(), 1);
}


#define test(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        test(test_a_change_is_told_once_and_announced),
        test(test_changes_of_a_turn_are_told_together),
        test(test_progress_is_for_those_who_want_it),
        test(test_a_handler_may_remove_any_watch),
        test(test_a_watch_added_by_a_handler_waits_for_the_next_change),
        test(test_many_are_told_in_bounded_turns),
        test(test_a_change_while_telling_reaches_all_again),
        test(test_many_jobs),
        test(test_a_lost_change_is_told_to_all),
        test(test_an_exiting_worker_tells_in_the_next_turn),
    };

    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
