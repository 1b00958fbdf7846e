
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_held.h"


/*
 * Held clients of this worker whose jobs wait in the store, by the ids of
 * these.
 */


static ngx_async_held_t *ngx_async_held_awaiting(const ngx_async_id_t *id);


static ngx_rbtree_t       ngx_async_held_waiting;
static ngx_rbtree_node_t  ngx_async_held_sentinel;


void
ngx_async_held_await(ngx_async_held_t *held, const ngx_async_id_t *id)
{
    if (ngx_async_held_waiting.root == NULL) {
        ngx_rbtree_init(&ngx_async_held_waiting, &ngx_async_held_sentinel,
                        ngx_rbtree_insert_value);
    }

    ngx_async_held_forgo(held);

    held->id = *id;
    held->node.key = ngx_async_id_key(id);
    held->awaiting = 1;

    ngx_rbtree_insert(&ngx_async_held_waiting, &held->node);
}


void
ngx_async_held_forgo(ngx_async_held_t *held)
{
    if (held->awaiting) {
        ngx_rbtree_delete(&ngx_async_held_waiting, &held->node);
        held->awaiting = 0;
    }
}


void
ngx_async_held_meet(ngx_async_run_t *run)
{
    ngx_async_held_t  *held;

    while (run->held == NULL) {

        held = ngx_async_held_awaiting(&run->job.id);
        if (held == NULL) {
            return;
        }

        ngx_async_held_forgo(held);

        if (held->starts(held) == NGX_OK) {
            ngx_async_held_attach(held, run);
        }
    }
}


static ngx_async_held_t *
ngx_async_held_awaiting(const ngx_async_id_t *id)
{
    ngx_rbtree_key_t    key;
    ngx_async_held_t   *held;
    ngx_rbtree_node_t  *node;

    key = ngx_async_id_key(id);
    node = ngx_async_held_waiting.root;

    while (node && node != &ngx_async_held_sentinel) {

        held = ngx_rbtree_data(node, ngx_async_held_t, node);

        if (key == node->key && ngx_async_id_cmp(&held->id, id) == 0) {
            return held;
        }

        node = (key < node->key) ? node->left : node->right;
    }

    return NULL;
}
