package leap.peers;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams, exactly once, state in RocksDB behind a cache and in a changelog topic, one stream thread.
 *
 * <p>Arguments: BOOTSTRAP TOPIC MARKS CROSSINGS WARM_UP LAYOUT. The first WARM_UP marks are taken once without being counted.
 */
final class KafkaStreamsPeer {
    private static final String STORE = "student-years";

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[0], topic = arguments[1], crossings = arguments[3];
        int marks = Integer.parseInt(arguments[2]), warmUp = Integer.parseInt(arguments[4]);
        Layout layout = Layout.named(arguments[5]);
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            Turn.of(warmUp, false);
            try (KafkaStreams streams = started(bootstrap, topic, crossings + "-warm-up", layout)) {
                Turn.awaitTaken();
            }
            Turn.of(marks, true);
            try (KafkaStreams streams = started(bootstrap, topic, crossings, layout)) {
                Turn.awaitTaken();
                awaitCommitted(admin, crossings, records(admin, topic));
                Turn.done();
            }
        }
    }

    private static KafkaStreams started(String bootstrap, String topic, String crossings, Layout layout) {
        Topology topology = new Topology();
        topology.addSource("marks", Serdes.ByteArray().deserializer(), Serdes.ByteArray().deserializer(), topic)
                .addProcessor("judge", () -> new Judge(layout), "marks")
                .addStateStore(
                        Stores.keyValueStoreBuilder(
                                        Stores.persistentKeyValueStore(STORE), Serdes.String(), Serdes.ByteArray())
                                .withCachingEnabled(),
                        "judge")
                .addSink(
                        "crossings", crossings, Serdes.String().serializer(), Serdes.ByteArray().serializer(), "judge");
        KafkaStreams streams = new KafkaStreams(topology, settings(bootstrap, crossings));
        streams.setUncaughtExceptionHandler(exception -> {
            exception.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        streams.start();
        return streams;
    }

    private static Properties settings(String bootstrap, String group) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, group);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, "state");
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 2_000);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5_000);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        return settings;
    }

    private static long records(Admin admin, String topic) throws Exception {
        Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
        for (TopicPartitionInfo partition :
                admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions()) {
            ends.put(new TopicPartition(topic, partition.partition()), OffsetSpec.latest());
        }
        return admin.listOffsets(ends).all().get().values().stream().mapToLong(end -> end.offset()).sum();
    }

    /** The stream thread commits by itself as soon as the last mark asked it to. */
    private static void awaitCommitted(Admin admin, String group, long records) throws Exception {
        long committed = 0;
        while (committed < records) {
            Thread.sleep(20);
            committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().values().stream()
                    .mapToLong(OffsetAndMetadata::offset)
                    .sum();
        }
    }

    private static final class Judge implements Processor<byte[], byte[], String, byte[]>, Layout.Kept {
        private final Layout layout;
        private ProcessorContext<String, byte[]> context;
        private KeyValueStore<String, byte[]> years;

        Judge(Layout layout) {
            this.layout = layout;
        }

        @Override
        public void init(ProcessorContext<String, byte[]> context) {
            this.context = context;
            years = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            List<Mark> marks = Mark.in(record.value());
            try {
                layout.judge(marks, this, (student, json) ->
                        context.forward(new Record<>(student, json, record.timestamp())));
            } catch (Exception unexpected) {
                throw new IllegalStateException(unexpected);
            }
            if (Turn.took(marks.size())) {
                context.commit();
            }
        }

        @Override
        public byte[] get(String whose, int schoolYear) {
            return years.get(whose + "/" + schoolYear);
        }

        @Override
        public void put(String whose, int schoolYear, byte[] value) {
            years.put(whose + "/" + schoolYear, value);
        }
    }
}
