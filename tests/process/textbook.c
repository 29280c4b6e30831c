/* The usual textbook program: open the queue, send one fixed buffer, say nothing more. */
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    char buffer[1024] = {0};
    mqd_t queue;

    if (argc != 3)
        return 2;
    queue = mq_open(argv[1], O_WRONLY);
    if (queue == (mqd_t)-1) {
        perror("mq_open");
        return 1;
    }
    strncpy(buffer, argv[2], sizeof buffer - 1);
    if (mq_send(queue, buffer, sizeof buffer, 0) != 0) {
        perror("mq_send");
        return 1;
    }
    return mq_close(queue) == 0 ? 0 : 1;
}
