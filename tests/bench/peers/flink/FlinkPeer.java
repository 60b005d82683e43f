package leap.peers;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeHint;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.core.execution.CheckpointType;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * Flink, exactly once, state in RocksDB with incremental checkpoints, parallelism one, a cluster inside this process.
 *
 * <p>Arguments: BOOTSTRAP TOPIC MARKS CROSSINGS WARM_UP LAYOUT. The first WARM_UP marks are taken once without being counted.
 */
final class FlinkPeer {
    private static final Duration CHECKPOINT_INTERVAL = Duration.ofSeconds(2);
    private static final TypeInformation<Tuple2<String, byte[]>> KEYED =
            new TypeHint<Tuple2<String, byte[]>>() {}.getTypeInfo();

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[0], topic = arguments[1], crossings = arguments[3];
        int marks = Integer.parseInt(arguments[2]), warmUp = Integer.parseInt(arguments[4]);
        Layout layout = Layout.named(arguments[5]);
        Configuration settings = settings();
        MiniClusterConfiguration one = new MiniClusterConfiguration.Builder()
                .setConfiguration(settings)
                .setNumTaskManagers(1)
                .setNumSlotsPerTaskManager(1)
                .withRandomPorts()
                .build();
        try (MiniCluster cluster = new MiniCluster(one)) {
            cluster.start();
            Turn.of(warmUp, false);
            JobID warming = submitted(cluster, settings, source(bootstrap, topic, crossings + "-warm-up"), sink(bootstrap, crossings + "-warm-up"), layout);
            Turn.awaitTaken();
            cluster.cancelJob(warming).get();
            cluster.requestJobResult(warming).get();

            Turn.of(marks, true);
            JobID job = submitted(cluster, settings, source(bootstrap, topic, crossings), sink(bootstrap, crossings), layout);
            Turn.awaitTaken();
            cluster.triggerCheckpoint(job, CheckpointType.CONFIGURED).get();
            Turn.done();
            // Behind a second checkpoint the first one's transaction is committed: nothing told is taken back.
            cluster.triggerCheckpoint(job, CheckpointType.CONFIGURED).get();
            cluster.cancelJob(job).get();
            cluster.requestJobResult(job).get();
        }
    }

    private static Configuration settings() {
        Configuration settings = new Configuration();
        settings.set(StateBackendOptions.STATE_BACKEND, "rocksdb");
        settings.set(CheckpointingOptions.INCREMENTAL_CHECKPOINTS, true);
        settings.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
        settings.set(
                CheckpointingOptions.CHECKPOINTS_DIRECTORY,
                Path.of("checkpoints").toAbsolutePath().toUri().toString());
        settings.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.ofMebiBytes(128));
        return settings;
    }

    private static JobID submitted(
            MiniCluster cluster,
            Configuration settings,
            KafkaSource<Tuple2<String, byte[]>> source,
            KafkaSink<Tuple2<String, byte[]>> sink,
            Layout layout)
            throws Exception {
        StreamExecutionEnvironment job = StreamExecutionEnvironment.getExecutionEnvironment(settings);
        job.setParallelism(1);
        job.getConfig().enableObjectReuse();
        job.enableCheckpointing(CHECKPOINT_INTERVAL.toMillis(), CheckpointingMode.EXACTLY_ONCE);
        job.fromSource(source, WatermarkStrategy.noWatermarks(), "marks")
                .keyBy(keyed -> keyed.f0, Types.STRING)
                .process(new Judge(layout), KEYED)
                .sinkTo(sink);
        return cluster.submitJob(job.getStreamGraph()).get().getJobID();
    }

    private static KafkaSource<Tuple2<String, byte[]>> source(String bootstrap, String topic, String group) {
        return KafkaSource.<Tuple2<String, byte[]>>builder()
                .setBootstrapServers(bootstrap)
                .setTopics(topic)
                .setGroupId(group)
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setProperty("max.poll.records", "5000")
                .setDeserializer(new Keyed())
                .build();
    }

    private static KafkaSink<Tuple2<String, byte[]>> sink(String bootstrap, String topic) {
        return KafkaSink.<Tuple2<String, byte[]>>builder()
                .setBootstrapServers(bootstrap)
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix(topic)
                .setProperty("transaction.timeout.ms", "60000")
                .setProperty("batch.size", String.valueOf(256 << 10))
                .setRecordSerializer((KafkaRecordSerializationSchema<Tuple2<String, byte[]>>) (crossing, context, at) ->
                        new ProducerRecord<>(topic, crossing.f0.getBytes(UTF_8), crossing.f1))
                .build();
    }

    /** The record as it came, with its key, the student or of a roll the district: it is parsed once, where it is judged. */
    private static final class Keyed implements KafkaRecordDeserializationSchema<Tuple2<String, byte[]>> {
        @Override
        public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Tuple2<String, byte[]>> out) {
            out.collect(Tuple2.of(new String(record.key(), UTF_8), record.value()));
        }

        @Override
        public TypeInformation<Tuple2<String, byte[]>> getProducedType() {
            return KEYED;
        }
    }

    private static final class Judge
            extends KeyedProcessFunction<String, Tuple2<String, byte[]>, Tuple2<String, byte[]>>
            implements Layout.Kept {
        private final Layout layout;
        private transient MapState<String, byte[]> years;
        private transient String key;

        Judge(Layout layout) {
            this.layout = layout;
        }

        @Override
        public void open(OpenContext context) {
            years = getRuntimeContext()
                    .getMapState(new MapStateDescriptor<>(
                            "years", Types.STRING, PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO));
        }

        @Override
        public void processElement(
                Tuple2<String, byte[]> keyed, Context context, Collector<Tuple2<String, byte[]>> crossings)
                throws Exception {
            List<Mark> marks = Mark.in(keyed.f1);
            key = keyed.f0;
            layout.judge(marks, this, (student, json) -> crossings.collect(Tuple2.of(student, json)));
            Turn.took(marks.size());
        }

        @Override
        public byte[] get(String whose, int schoolYear) throws Exception {
            return years.get(place(whose, schoolYear));
        }

        @Override
        public void put(String whose, int schoolYear, byte[] value) throws Exception {
            years.put(place(whose, schoolYear), value);
        }

        /** The state's own key is before it: a student's mark needs to say no more than the year. */
        private String place(String whose, int schoolYear) {
            return whose.equals(key) ? Integer.toString(schoolYear) : whose + "/" + schoolYear;
        }
    }
}
