export { type CallOptions, untilAborted } from "./call.ts";
export { type Clock, systemClock } from "./clock.ts";
export { type ConfigReport, type ConfigSources, inspectConfig } from "./configuration.ts";
export {
  currentCorrelationId,
  getCorrelationId,
  newCorrelationId,
  parseCorrelationId,
  withCorrelationId,
  withNewCorrelationId,
} from "./correlation.ts";
export {
  type ConfigProblem,
  type ErrorCategory,
  type ErrorCode,
  type ErrorOrigin,
  errorCodes,
  HexkitError,
  type HexkitErrorOptions,
  isHexkitError,
} from "./errors.ts";
export type { HealthReport, ProviderHealth } from "./health.ts";
export { type InspectedPlugin, inspectPlugins, type PluginInspection } from "./inspection.ts";
export type { Logger } from "./logging.ts";
export type { ServiceIdentity } from "./names.ts";
export type { OptionSchema, OptionsOf, OptionsSchema } from "./options.ts";
export { apiVersion, definePlugin, isPlugin, type Plugin, type PluginDefinition, type ProviderContext } from "./plugin.ts";
export type {
  Dao,
  DaoFactory,
  DaoIndex,
  DaoSpec,
  DaoTransaction,
  Find,
  FindOptions,
  NativeType,
  TransactionOptions,
  UpdateOptions,
} from "./protocols/dao/dao.ts";
export type {
  CollectionAccess,
  DaoCallOptions,
  DaoCapabilities,
  DaoDriver,
  DocumentId,
  DocumentPatch,
  DocumentQuery,
  DocumentValue,
  DriverTransaction,
  FilterNode,
  GuardedPatch,
  IndexSpec,
  LeaseAnswer,
  LeaseClaim,
  SortKey,
  StoredDocument,
  Watch,
} from "./protocols/dao/driver.ts";
export type { FieldPath, Filter, Operators, SortOf } from "./protocols/dao/filter-types.ts";
export { isUuid, Uuid } from "./protocols/dao/uuid-value.ts";
export type { EventPublisherDriver, OutgoingRecord, SendOutcome } from "./protocols/event-publisher/driver.ts";
export type { EventPublisher, OutgoingEvent, Payload, PayloadValue } from "./protocols/event-publisher/event-publisher.ts";
export { daoTranslator } from "./protocols/event-subscriber/dao-translator.ts";
export type {
  EventSink,
  EventSource,
  EventSubscriberDriver,
  JoinRequest,
  PartitionExtent,
  PartitionPosition,
  RecordText,
  SourceRecord,
  SourceTrouble,
  TopicAccess,
  TopicPartition,
} from "./protocols/event-subscriber/driver.ts";
export type {
  AnyTranslator,
  BatchContext,
  BatchOutcome,
  BatchTranslator,
  DeadLetter,
  DeadLetterContext,
  DeadLetterHandler,
  EventContext,
  EventSubscriber,
  ReceivedEvent,
  RedriveChanges,
  Subscription,
  SubscriptionState,
  SubscriptionStats,
  Translator,
} from "./protocols/event-subscriber/event-subscriber.ts";
export { OffsetTracker } from "./protocols/event-subscriber/offset-tracker.ts";
export { NonRetryable } from "./protocols/event-subscriber/retry.ts";
export type { SubscriberSettings } from "./protocols/event-subscriber/settings.ts";
export { eventTranslator } from "./protocols/event-subscriber/translator.ts";
export { Troubles } from "./protocols/event-subscriber/troubles.ts";
export {
  type Api,
  type Binding,
  type BindingFacts,
  type ClosePhase,
  type DriverOf,
  defineComposedProtocol,
  defineProtocol,
  type ProtocolContext,
  type ProtocolDefinition,
  type ProtocolName,
  type ProtocolPart,
  type Protocols,
  type ProtocolTypes,
  type SettleProbe,
  type SettleReport,
} from "./protocols/index.ts";
export type { MigrationsDriver, VersionRecord } from "./protocols/migrations/driver.ts";
export type {
  MigrationContext,
  MigrationPlan,
  MigrationReport,
  MigrationStep,
  Migrations,
  TransformOptions,
} from "./protocols/migrations/migrations.ts";
export type { ContentShelf, ContentStore, RecordRef } from "./protocols/object-storage/content-store.ts";
export type {
  ContentFacts,
  FormRequest,
  LinkRequest,
  ListedObject,
  ListedPart,
  ListedUpload,
  ObjectStorageCapabilities,
  ObjectStorageDriver,
  ObjectStorageLimits,
  Page,
  StoredFacts,
} from "./protocols/object-storage/driver.ts";
export type {
  BucketInfo,
  ByteRange,
  ContentOptions,
  ContentStream,
  DownloadLinkOptions,
  ExpiryOptions,
  FormLink,
  Link,
  MultipartUploads,
  ObjectBody,
  ObjectInfo,
  ObjectMetadata,
  ObjectRef,
  ObjectStorage,
  ObjectSummary,
  PartInfo,
  PutLink,
  PutOptions,
  StoredObject,
  StoredRef,
  UploadInfo,
  UploadLinkOptions,
  UploadRef,
} from "./protocols/object-storage/object-storage.ts";
export { objectStorageOver } from "./protocols/object-storage/over-contents.ts";
export { recommendPartSize } from "./protocols/object-storage/part-size.ts";
export {
  createAgent,
  failRequest,
  type SocketLimits,
  SocketTimeoutError,
  socketOptions,
  whileOpening,
} from "./protocols/object-storage/sockets.ts";
export type { Outbox, OutboxFactory, OutboxSpec } from "./protocols/outbox/outbox.ts";
export type { PersistentPublisher } from "./protocols/persistent-publisher/persistent-publisher.ts";
export type { RelayReport } from "./protocols/relay/relay.ts";
export { type CloseOptions, type OpenOptions, openRegistry, type Registry } from "./registry.ts";
export type { JsonSchema, Schema, SchemaInput, SchemaOutput, StandardSchema } from "./schema.ts";
export type { ServeOptions } from "./serve.ts";
